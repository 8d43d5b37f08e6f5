"""Branch A of an LGS block: a Mamba mixer over the places of both frames, in four directions of one weight.

What a mixer does to single tokens is done once for all directions: before they are put in order, and, behind
the scan, when all are back at home, where the directions are averaged.
"""

from __future__ import annotations

import math
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from ...plugins import Operators
from ...plugins.causal_conv1d import causal_conv1d_portable
from ..artrack_mamba.mixer import Mamba2Mixer
from .config import InterpolatorConfig, MixerConfig
from .scan import DIRECTIONS, bring_home, put_in_order


class Mamba1Mixer(nn.Module):
    """A Mamba-1 mixer in the parts that ``Mamba2Mixer`` has. Source: Gu and Dao, "Mamba", section 3.4."""

    def __init__(self, config: MixerConfig, operators: Operators) -> None:
        super().__init__()
        self._operators = operators
        inner, self.states = config.inner, config.states
        self.rank = math.ceil(config.dim / 16)
        self.in_proj = nn.Linear(config.dim, 2 * inner, bias=False)
        bound = config.conv_taps**-0.5
        self.conv_weight = nn.Parameter(torch.empty(inner, config.conv_taps).uniform_(-bound, bound))
        self.conv_bias = nn.Parameter(torch.zeros(inner))
        self.x_proj = nn.Linear(inner, self.rank + 2 * self.states, bias=False)
        self.dt_proj = nn.Linear(self.rank, inner, bias=False)
        dt = torch.exp(torch.linspace(math.log(1e-3), math.log(1e-1), inner))
        self.dt_bias = nn.Parameter(dt + torch.log(-torch.expm1(-dt)))
        self.a_log = nn.Parameter(torch.log(torch.arange(1.0, self.states + 1)).repeat(inner, 1))
        self.d_skip = nn.Parameter(torch.ones(inner))
        self.out_proj = nn.Linear(inner, config.dim, bias=False)
        nn.init.zeros_(self.out_proj.weight)  # the branch starts as nothing

    def project(self, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """tokens (..., dim) -> gate (..., inner), x (..., inner), and no steps: they follow from x later."""
        gate, x = self.in_proj(tokens).chunk(2, dim=-1)
        return gate, x, x[..., :0]

    def scan(
        self, x: Tensor, dt: Tensor, ssm: Tensor | None, conv: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """x (B, L, inner), states or None -> y (B, L, inner), final states."""
        x, conv = self._operators.causal_conv1d(x, self.conv_weight, self.conv_bias, conv, silu=True)
        dt, b, c = self.x_proj(x).split([self.rank, self.states, self.states], dim=-1)
        dt = functional.softplus(self.dt_proj(dt) + self.dt_bias)
        y, ssm = self._operators.selective_scan(x, dt, -torch.exp(self.a_log), b, c, ssm)
        return y + self.d_skip * x, ssm, conv

    def norm(self, y: Tensor, gate: Tensor) -> Tensor:
        """y and gate (..., inner) -> the gated y; Mamba-1 has no norm here."""
        return y * functional.silu(gate)


class CrossFrameMamba(nn.Module):
    """One mixer over the places of a pair, in the order that ``config.scan`` says."""

    def __init__(self, config: InterpolatorConfig, dim: int, operators: Operators) -> None:
        super().__init__()
        if operators.name == "ort":  # its stateful convolution is slower than a plain one on long sequences
            operators = replace(operators, causal_conv1d=causal_conv1d_portable)
        shape = config.mixer_of(dim)
        self.apart = config.scan == "flip"
        self.mixer = (
            Mamba1Mixer(shape, operators)
            if config.mixer == "mamba1"
            else Mamba2Mixer(shape, operators, reverse=False)
        )

    def forward(self, pair: Tensor, ssm: Tensor | None) -> tuple[Tensor, Tensor]:
        """pair (2B, H, W, C), state (B, 4 · rows, ...) or None -> (2B, H, W, C), final state."""
        height, width = pair.shape[1:3]
        gate, seen, steps = self.mixer.project(pair)
        channels = seen.shape[-1]
        tokens = put_in_order(torch.cat([seen, steps], dim=-1), apart=self.apart).flatten(0, 1)
        start = None if ssm is None else ssm.unflatten(1, (DIRECTIONS, -1)).flatten(0, 1)
        y, final, _ = self.mixer.scan(tokens[..., :channels], tokens[..., channels:], start, None)
        home = bring_home(y.unflatten(0, (-1, DIRECTIONS)), height, width, apart=self.apart)
        mixed = self.mixer.norm(home, gate.unsqueeze(1)).mean(1)  # over (2B, 4, H, W, inner)
        out: Tensor = self.mixer.out_proj(mixed)
        return out, final.unflatten(0, (-1, DIRECTIONS)).flatten(1, 2)
