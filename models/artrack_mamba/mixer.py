"""The Mamba-2 block over template-first tokens, with its state given and returned.

Source: Dao and Gu, "Transformers are SSMs", section 7 (block); layout: template tokens come first in *either*
direction (forward [z, x], backward [reverse z, reverse x]), so the state after the template never depends on
the search tokens: it is computed once and kept.

Glossary
    z tokens   template tokens (B, L_z, dim)          ssm state   (B, heads, N, P), see plugins.ssd_scan
    x tokens   search tokens (B, L_x, dim)            conv state  (B, inner + 2 N, taps - 1)
    gate       the branch that multiplies the scan's output, SiLU-activated
"""

from __future__ import annotations

import math
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from ...plugins import Operators
from .config import ArtrackMambaConfig


class RmsNorm(nn.Module):
    """Root-mean-square norm over the last dimension, optionally gated: ``norm(x · silu(gate))``."""

    def __init__(self, dim: int, epsilon: float = 1e-5) -> None:
        super().__init__()
        self.weight, self.epsilon = nn.Parameter(torch.ones(dim)), epsilon

    def forward(self, x: Tensor, gate: Tensor | None = None) -> Tensor:
        """x (..., dim) and a gate of the same shape, or None -> (..., dim)."""
        if gate is not None:
            x = x * functional.silu(gate)
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self.epsilon) * self.weight


class MixerShape(Protocol):
    """What a mixer has to know of a model's configuration."""

    @property
    def dim(self) -> int:
        """Channels of a token."""

    @property
    def inner(self) -> int:
        """Channels of the scan's input, over all heads."""

    @property
    def heads(self) -> int:
        """State-space heads; each has ``inner / heads`` channels."""

    @property
    def states(self) -> int:
        """State size of a head (N)."""

    @property
    def conv_channels(self) -> int:
        """Channels that pass the causal convolution: x, and B and C of each group of heads."""

    @property
    def conv_taps(self) -> int:
        """Taps of the causal convolution."""


class Mamba2Mixer(nn.Module):
    """One direction of a Mamba-2 mixer over a chunk of tokens."""

    def __init__(
        self, config: MixerShape, operators: Operators, *, reverse: bool, norm_epsilon: float = 1e-5
    ) -> None:
        super().__init__()
        self.config, self.reverse = config, reverse
        self._operators = operators
        inner, heads = config.inner, config.heads
        self.in_proj = nn.Linear(config.dim, inner + config.conv_channels + heads, bias=False)
        self.conv_weight = nn.Parameter(torch.empty(config.conv_channels, config.conv_taps))
        self.conv_bias = nn.Parameter(torch.zeros(config.conv_channels))
        nn.init.uniform_(self.conv_weight, -(config.conv_taps**-0.5), config.conv_taps**-0.5)
        # Step sizes start log-uniform in [1e-3, 1e-1] and decay rates in [1, 16], as in the reference model.
        dt = torch.exp(torch.linspace(math.log(1e-3), math.log(1e-1), heads))
        self.dt_bias = nn.Parameter(dt + torch.log(-torch.expm1(-dt)))
        self.a_log = nn.Parameter(torch.log(torch.linspace(1, 16, heads)))
        self.d_skip = nn.Parameter(torch.ones(heads))
        self.norm = RmsNorm(inner, norm_epsilon)
        self.out_proj = nn.Linear(inner, config.dim, bias=False)
        nn.init.zeros_(self.out_proj.weight)  # the block starts as the identity

    def forward(
        self, tokens: Tensor, ssm: Tensor | None, conv: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """tokens (B, L, dim), states or None (zeros) -> mixed tokens (B, L, dim), final ssm, final conv."""
        if self.reverse:
            tokens = tokens.flip(1)
        gate, xbc, dt = self.project(tokens)
        y, ssm, conv = self.scan(xbc, dt, ssm, conv)
        out = self.out_proj(self.norm(y, gate))
        return (out.flip(1) if self.reverse else out), ssm, conv

    def project(self, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """tokens (..., dim) -> gate (..., inner), x, B and C (..., conv channels), steps (..., heads)."""
        config = self.config
        parts = self.in_proj(tokens).split([config.inner, config.conv_channels, config.heads], dim=-1)
        return parts[0], parts[1], parts[2]

    def scan(
        self, xbc: Tensor, dt: Tensor, ssm: Tensor | None, conv: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """What ``project`` gave for a sequence (B, L, ...), states or None -> y (B, L, inner), finals."""
        inner, heads, states = self.config.inner, self.config.heads, self.config.states
        batch, length, _ = xbc.shape
        xbc, conv = self._operators.causal_conv1d(xbc, self.conv_weight, self.conv_bias, conv, silu=True)
        wide = (self.config.conv_channels - inner) // 2  # states of every group
        x, b, c = xbc.split([inner, wide, wide], dim=-1)
        b, c = (part.reshape(batch, length, wide // states, states) for part in (b, c))
        x = x.reshape(batch, length, heads, inner // heads)
        dt = functional.softplus(dt + self.dt_bias)  # (B, L, H)
        y, ssm = self._operators.ssd_scan(x, dt, -torch.exp(self.a_log), b, c, ssm)
        skip = self.d_skip.repeat_interleave(inner // heads)
        return y.reshape(batch, length, inner) + skip * x.reshape(batch, length, inner), ssm, conv


class MambaBlock(nn.Module):
    """Pre-norm residual block of one direction, or of both side by side."""

    def __init__(self, config: ArtrackMambaConfig, operators: Operators, index: int) -> None:
        super().__init__()
        self.norm = RmsNorm(config.dim)
        both = config.directions == "both"
        directions = (False, True) if both else (bool(index % 2),)
        self.mixers = nn.ModuleList(
            Mamba2Mixer(config, operators, reverse=reverse, norm_epsilon=config.norm_epsilon)
            for reverse in directions
        )

    def forward(
        self, tokens: Tensor, states: list[tuple[Tensor, Tensor]] | None
    ) -> tuple[Tensor, list[tuple[Tensor, Tensor]]]:
        """tokens (B, L, dim) and one (ssm, conv) pair a mixer, or None -> tokens, final pairs."""
        normed = self.norm(tokens)
        finals = []
        for index, mixer in enumerate(self.mixers):
            ssm, conv = (None, None) if states is None else states[index]
            mixed, ssm, conv = mixer(normed, ssm, conv)
            tokens = tokens + mixed
            finals.append((ssm, conv))
        return tokens, finals
