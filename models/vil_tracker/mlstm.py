"""The mLSTM block of Vision-LSTM over template-first tokens, with its state given and returned.

Source: Alkin et al., "Vision-LSTM: xLSTM as Generic Vision Backbone", section 3, in the first version of the
published weights (causal convolution, no biases in projections). Template tokens come first in *either*
direction (forward [z, x], backward [reverse z, reverse x]), so that the state after the template never
depends on the search tokens: it is computed once and kept.

Glossary
    tokens     (B, L, dim) of one picture, row by row
    memory     (B, 4, K, K), norm (B, 4, K), peak (B, 4): C, n and m of ``plugins.mlstm_scan``, K = inner / 4
    conv       (B, inner, taps - 1), state of the causal convolution
    z          the branch that gates the scan's output; not the template
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from ...plugins import Operators
from .config import BLOCK_SIZE, VilTrackerConfig


class BlockState(NamedTuple):
    """What a block remembers of the tokens that it has seen; see the module's glossary."""

    memory: Tensor
    norm: Tensor
    peak: Tensor
    conv: Tensor


class HeadwiseLinear(nn.Module):
    """A block-diagonal linear map: each group of 4 channels is mixed within itself."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(channels // BLOCK_SIZE, BLOCK_SIZE, BLOCK_SIZE))

    def forward(self, x: Tensor) -> Tensor:
        """(B, L, channels) -> the same.

        Four groups go as one 16 x 16 matrix, three quarters of it zeros: ten times faster than 4 x 4 ones.
        """
        size = BLOCK_SIZE
        fours = self.weight.unflatten(0, (-1, size, 1)).transpose(2, 3)  # (N, group, out, 1, in)
        apart = torch.eye(size, dtype=x.dtype, device=x.device)[:, None, :, None]
        wide = (fours * apart).reshape(-1, size * size, size * size)  # (N, 16, 16), block diagonal
        rows = x.unflatten(-1, (-1, size * size)).transpose(1, 2)  # (B, N, L, 16)
        mixed: Tensor = (rows @ wide.transpose(1, 2)).transpose(1, 2).flatten(2)
        return mixed


class MlstmMixer(nn.Module):
    """One direction of an mLSTM layer over a chunk of tokens."""

    def __init__(self, config: VilTrackerConfig, operators: Operators, *, reverse: bool) -> None:
        super().__init__()
        self.config, self.reverse = config, reverse
        self._operators = operators
        dim, inner, heads = config.dim, config.inner, config.heads
        self.proj_up = nn.Linear(dim, 2 * inner, bias=False)
        self.q_proj, self.k_proj, self.v_proj = (HeadwiseLinear(inner) for _ in range(3))
        self.conv_weight = nn.Parameter(torch.empty(inner, config.conv_taps))
        self.conv_bias = nn.Parameter(torch.empty(inner))
        self.input_gate, self.forget_gate = (nn.Linear(3 * inner, heads) for _ in range(2))
        self.out_norm = nn.Parameter(torch.ones(inner))
        self.skip = nn.Parameter(torch.ones(inner))
        self.proj_down = nn.Linear(inner, dim, bias=False)
        self._start()

    def _start(self) -> None:
        """Starting weights as in the published training: gates that look at nothing yet, and remember."""
        dim, taps = self.config.dim, self.config.conv_taps
        for linear in (self.proj_up, self.q_proj, self.k_proj, self.v_proj):
            nn.init.normal_(linear.weight, std=math.sqrt(2 / (5 * dim)))
        nn.init.normal_(self.proj_down.weight, std=2 / math.sqrt(dim))
        for tensor in (self.conv_weight, self.conv_bias):
            nn.init.uniform_(tensor, -(taps**-0.5), taps**-0.5)
        for gate in (self.input_gate, self.forget_gate):
            nn.init.zeros_(gate.weight)
        nn.init.normal_(self.input_gate.bias, std=0.1)
        with torch.no_grad():
            self.forget_gate.bias.copy_(torch.linspace(3.0, 6.0, self.config.heads))

    def forward(self, tokens: Tensor, state: BlockState | None) -> tuple[Tensor, BlockState]:
        """tokens (B, L, dim), a state or None (nothing seen) -> mixed tokens, state after them."""
        if self.reverse:
            tokens = tokens.flip(1)
        smooth = self.config.block == "silu"
        x, z = self.proj_up(tokens).chunk(2, dim=-1)
        conv = None if state is None else state.conv
        seen, conv = self._operators.causal_conv1d(x, self.conv_weight, self.conv_bias, conv, silu=smooth)
        if not smooth:
            seen = functional.gelu(seen)
        q, k, v = self.q_proj(seen), self.k_proj(seen), self.v_proj(x)
        gates = torch.cat([q, k, v], dim=-1)
        by_head = [part.unflatten(-1, (self.config.heads, -1)) for part in (q, k, v)]  # (B, L, H, K)
        past = None if state is None else (state.memory, state.norm, state.peak)
        h, (memory, norm, peak) = self._operators.mlstm_scan(
            *by_head, fine(self.input_gate(gates)), fine(self.forget_gate(gates)), past
        )
        h = functional.layer_norm(h, h.shape[-1:]).flatten(-2) * self.out_norm + self.skip * seen
        out = self.proj_down(h * (functional.silu(z) if smooth else torch.sigmoid(z)))
        return (out.flip(1) if self.reverse else out), BlockState(memory, norm, peak, conv)


class MlstmBlock(nn.Module):
    """Norm and mixer; what the block adds to its tokens. Even layers read forward, odd ones backward."""

    def __init__(self, config: VilTrackerConfig, operators: Operators, index: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(config.dim, bias=False)
        self.mixer = MlstmMixer(config, operators, reverse=bool(index % 2))

    def forward(self, tokens: Tensor, state: BlockState | None) -> tuple[Tensor, BlockState]:
        """tokens (B, L, dim), a state or None -> what to add to the tokens, state after them."""
        update: tuple[Tensor, BlockState] = self.mixer(self.norm(tokens), state)
        return update


def fine(raw: Tensor) -> Tensor:
    """In float32 at least: bfloat16 is too coarse for gates that add up, and for a box."""
    return raw.to(torch.promote_types(raw.dtype, torch.float32))
