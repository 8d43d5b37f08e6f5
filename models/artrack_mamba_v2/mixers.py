"""Mamba-1 and Mamba-2 over parts of a sequence, both ways or one, with their states given and returned.

Both have the layout of Vim (Zhu et al., "Vision Mamba", section 3.3): projections in and out are shared by
the directions, everything between is each direction's own, and the directions are averaged. Parts keep their
order in time in either direction, and a reverse scan reverses each part within itself: forward [z, x],
backward [rev z, rev x]. So a state after the templates never depends on what follows.

Glossary
    tokens  (B, L, dim)            inner  channels of the scan
    start   (ssm, conv), a direction's state: conv (B, conv channels, taps - 1);
            ssm (B, inner, N) in Mamba-1, (B, heads, N, P) in Mamba-2
    gate    the branch that multiplies the scan's output, SiLU-activated
    angles  rotary angles (L, N / 2) of the tokens, or None; a pair, see ``rotary``
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from ...plugins import Operators
from ..artrack_mamba.mixer import RmsNorm
from .config import ArtrackMambaV2Config
from .order import Part, turn
from .rotary import Pair, rotate

Start = tuple[Tensor, Tensor]


class Mamba1Direction(nn.Module):
    """What a direction of Mamba-1 has of its own: convolution, Δ, B, C, decays and skip."""

    def __init__(self, config: ArtrackMambaV2Config, operators: Operators) -> None:
        super().__init__()
        self.config, self._operators = config, operators
        inner, states, rank = config.inner, config.states, config.step_rank
        self.conv_weight, self.conv_bias = conv_parameters(inner, config.conv_taps)
        self.x_proj = nn.Linear(inner, rank + 2 * states, bias=False)
        self.dt_proj = nn.Linear(rank, inner)
        nn.init.uniform_(self.dt_proj.weight, -(rank**-0.5), rank**-0.5)
        with torch.no_grad():
            self.dt_proj.bias.copy_(first_steps(inner))
        self.a_log = nn.Parameter(torch.log(torch.arange(1.0, states + 1)).repeat(inner, 1))
        self.d_skip = nn.Parameter(torch.ones(inner))

    def forward(self, x: Tensor, start: Start | None, angles: Tensor | None) -> tuple[Tensor, Start]:
        """x (B, L, inner) in the order of the scan -> y (B, L, inner), final state."""
        rank, states = self.config.step_rank, self.config.states
        ssm, conv = start or (None, None)
        x, conv = self._operators.causal_conv1d(x, self.conv_weight, self.conv_bias, conv, silu=True)
        dt, b, c = self.x_proj(x).split([rank, states, states], dim=-1)
        if angles is not None:
            b, c = rotate(b, angles), rotate(c, angles)
        dt = functional.softplus(self.dt_proj(dt))
        y, ssm = self._operators.selective_scan(x, dt, -torch.exp(self.a_log), b, c, ssm)
        return y + self.d_skip * x, (ssm, conv)


class Mamba2Direction(nn.Module):
    """What a direction of Mamba-2 has of its own: convolution, step bias, decays, skip and gated norm."""

    def __init__(self, config: ArtrackMambaV2Config, operators: Operators) -> None:
        super().__init__()
        self.config, self._operators = config, operators
        inner, heads = config.inner, config.heads
        self.conv_weight, self.conv_bias = conv_parameters(inner + 2 * config.states, config.conv_taps)
        self.dt_bias = nn.Parameter(first_steps(heads))
        self.a_log = nn.Parameter(torch.log(torch.linspace(1, 16, heads)))
        self.d_skip = nn.Parameter(torch.ones(heads))
        self.norm = RmsNorm(inner, config.norm_epsilon)

    def forward(
        self, xbc: Tensor, dt: Tensor, gate: Tensor, start: Start | None, angles: Tensor | None
    ) -> tuple[Tensor, Start]:
        """xbc (B, L, inner + 2 N), dt (B, L, heads), gate (B, L, inner) -> y (B, L, inner), final state."""
        inner, heads, states = self.config.inner, self.config.heads, self.config.states
        ssm, conv = start or (None, None)
        batch, length, _ = xbc.shape
        xbc, conv = self._operators.causal_conv1d(xbc, self.conv_weight, self.conv_bias, conv, silu=True)
        x, b, c = xbc.split([inner, states, states], dim=-1)
        if angles is not None:
            b, c = rotate(b, angles), rotate(c, angles)
        x = x.reshape(batch, length, heads, inner // heads)
        dt = functional.softplus(dt + self.dt_bias)
        y, ssm = self._operators.ssd_scan(x, dt, -torch.exp(self.a_log), b.unsqueeze(2), c.unsqueeze(2), ssm)
        y = (y + self.d_skip[:, None] * x).reshape(batch, length, inner)
        return self.norm(y, gate), (ssm, conv)


class Mixer(nn.Module):
    """A layer's mixer: one projection in, the directions, their mean, one projection out."""

    def __init__(self, config: ArtrackMambaV2Config, operators: Operators, index: int) -> None:
        super().__init__()
        self.config = config
        inner = config.inner
        wide = 2 * inner if config.mixer == "mamba1" else 2 * inner + 2 * config.states + config.heads
        self.reverses = (False, True) if config.directions == "both" else (bool(index % 2),)
        kind = Mamba1Direction if config.mixer == "mamba1" else Mamba2Direction
        self.in_proj = nn.Linear(config.dim, wide, bias=False)
        self.ways = nn.ModuleList(kind(config, operators) for _ in self.reverses)
        self.out_proj = nn.Linear(inner, config.dim, bias=False)
        with torch.no_grad():
            self.out_proj.weight /= math.sqrt(config.layers)  # a deep residual stream starts calm

    def forward(
        self, tokens: Tensor, starts: Sequence[Start] | None, parts: Sequence[Part], angles: Pair | None
    ) -> tuple[Tensor, list[Start]]:
        """tokens (B, L, dim) of parts, a start a direction or None (zeros) -> mixed tokens, finals."""
        projected = self.in_proj(tokens)
        total: Tensor | None = None
        finals = []
        for place, (way, reverse) in enumerate(zip(self.ways, self.reverses, strict=True)):
            start = None if starts is None else starts[place]
            seen = turn(projected, parts) if reverse else projected
            y, final = self.scan(way, seen, start, None if angles is None else angles[reverse])
            y = turn(y, parts) if reverse else y
            total = y if total is None else total + y
            finals.append(final)
        assert total is not None
        return self.out_proj(total / len(self.ways)), finals

    def scan(
        self, way: nn.Module, seen: Tensor, start: Start | None, angles: Tensor | None
    ) -> tuple[Tensor, Start]:
        """One direction over what ``in_proj`` gave, in its order: gated outputs (B, L, inner), final."""
        config = self.config
        if isinstance(way, Mamba1Direction):
            x, gate = seen.chunk(2, dim=-1)
            y, final = way(x, start, angles)
            return y * functional.silu(gate), final
        wide = [config.inner, config.inner + 2 * config.states, config.heads]
        gate, xbc, dt = seen.split(wide, dim=-1)
        gated: tuple[Tensor, Start] = way(xbc, dt, gate, start, angles)
        return gated


def conv_parameters(channels: int, taps: int) -> tuple[nn.Parameter, nn.Parameter]:
    """Weights (channels, taps), the last tap being the current step, and biases (channels,)."""
    bound = taps**-0.5
    return nn.Parameter(torch.empty(channels, taps).uniform_(-bound, bound)), nn.Parameter(
        torch.zeros(channels)
    )


def first_steps(count: int) -> Tensor:
    """(count,) biases whose softplus is log-uniform in [1e-3, 1e-1]."""
    dt = torch.exp(torch.linspace(math.log(1e-3), math.log(1e-1), count))
    return dt + torch.log(-torch.expm1(-dt))
