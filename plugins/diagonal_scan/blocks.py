"""The diagonal recurrence in blocks: in PyTorch, with gradients, and as a graph of plain ONNX operators.

About √T blocks of √T steps run side by side, each from a zero state; then the states at the blocks' starts
follow one from the other, and every step gets what its block's start contributes: 2 √T dependent steps in
place of T. Decays are only multiplied, so a large step takes no digits from the others. Glossary: see
``reference``.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from ..precision import in_float32
from .reference import check_shapes, decays, times


@in_float32
def diagonal_scan_blocks(
    x: Tensor, log_decay: Tensor, state: Tensor | None = None, *, phase: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Same arguments and results as ``diagonal_scan_reference``; exports for a fixed T ≥ 1, any batch."""
    check_shapes(x, log_decay, state, phase)
    time, pairs = x.shape[1], phase is not None
    h = x.new_zeros(x.shape[0], *x.shape[2:]) if state is None else state
    if time == 0:
        return x.new_zeros(x.shape), h
    block = math.isqrt(time - 1) + 1
    count = -(-time // block)
    missing = block * count - time

    def in_blocks(tensor: Tensor) -> Tensor:  # (B, T, D, ...) -> (B, count, block, D, ...)
        sides = [0, 0] * (tensor.dim() - 2) + [0, missing]
        padded = functional.pad(tensor, sides) if missing else tensor
        return padded.reshape(-1, count, block, *tensor.shape[2:])

    def steps(tensor: Tensor) -> Tensor:  # added steps neither forget nor turn
        return in_blocks(tensor.expand(x.shape[:3]))

    xs = in_blocks(x)
    decay = decays(steps(log_decay), None if phase is None else steps(phase))
    inner, since = [xs[:, :, 0]], [decay[:, :, 0]]  # states from zero, and the decay since the block's start
    for t in range(1, block):
        inner.append(times(decay[:, :, t], inner[-1], pairs) + xs[:, :, t])
        since.append(times(decay[:, :, t], since[-1], pairs))
    starts = []
    for j in range(count):
        starts.append(h)
        h = times(since[-1][:, j], h, pairs) + inner[-1][:, j]
    entering = torch.stack(starts, dim=1).unsqueeze(2).expand(xs.shape)
    hs = torch.stack(inner, dim=2) + times(torch.stack(since, dim=2), entering, pairs)
    return hs.reshape(-1, block * count, *x.shape[2:])[:, :time], h
