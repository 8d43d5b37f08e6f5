"""The Mamba-1 scan in blocks: for graphs of plain ONNX operators, and for GPUs without a scan kernel.

The steps are cut into about √T blocks of about √T steps. All blocks run their steps side by side, each from
a zero state; then the states at the blocks' starts follow one from the other, and every step gets what its
block's start contributes. That is 2 √T dependent steps in place of T. Decays are products of at most one
block's steps, and only multiplied, so this is stable for any step size. Glossary: see ``reference``.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from ..precision import in_float32
from .reference import check_shapes


@in_float32
def selective_scan_portable(
    x: Tensor, dt: Tensor, a: Tensor, b: Tensor, c: Tensor, state: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Same arguments and results as ``selective_scan_reference``; exports for a fixed T ≥ 1, any batch."""
    check_shapes(x, dt, a, b, c, state)
    time, channels = x.shape[1:]
    states = a.shape[1]
    h = x.new_zeros(x.shape[0], channels, states) if state is None else state
    if time == 0:
        return x.new_zeros(x.shape), h
    block = math.isqrt(time - 1) + 1
    count = -(-time // block)
    missing = block * count - time

    def in_blocks(
        tensor: Tensor,
    ) -> Tensor:  # (B, count, block, ...); added steps change nothing
        padded = functional.pad(tensor, (0, 0, 0, missing)) if missing else tensor
        return padded.reshape(-1, count, block, tensor.shape[-1])

    push = in_blocks(dt * x).unsqueeze(-1) * in_blocks(b).unsqueeze(3)  # (B, count, block, D, N)
    dt, c = in_blocks(dt), in_blocks(c)
    decays = torch.exp(dt.unsqueeze(-1) * a)
    since_start = torch.exp(torch.cumsum(dt, dim=2).unsqueeze(-1) * a)
    locals_ = [push[:, :, 0]]
    for t in range(1, block):
        locals_.append(decays[:, :, t] * locals_[-1] + push[:, :, t])
    starts = []
    for j in range(count):
        starts.append(h)
        h = since_start[:, j, -1] * h + locals_[-1][:, j]
    hs = torch.stack(locals_, dim=2) + since_start * torch.stack(starts, dim=1).unsqueeze(2)
    y = (hs @ c.unsqueeze(-1)).squeeze(-1).reshape(-1, block * count, channels)
    return y[:, :time], h
