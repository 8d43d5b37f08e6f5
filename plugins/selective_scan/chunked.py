"""The Mamba-1 scan with everything but the recurrence itself done for a whole chunk at once.

Decays, inputs and read-outs are one operation a chunk each; what is left a step is one fused multiply-add
over the state, in place. On a CPU this is faster than the parallel scans (half the arithmetic, and a chunk
of a few rows stays in cache). Only the states between chunks are kept for the gradient: those within are
computed again on the way back, so memory does not grow with the number of states. Stable for any step size:
a decay is only ever multiplied, never divided by. Glossary: see ``reference``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

from ..precision import in_float32
from .reference import check_shapes

CACHED = 200_000
"""Numbers of a chunk that are worked on at once on a CPU."""


@in_float32
def selective_scan_chunked(
    x: Tensor, dt: Tensor, a: Tensor, b: Tensor, c: Tensor, state: Tensor | None = None, *, chunk: int = 16
) -> tuple[Tensor, Tensor]:
    """Same arguments and results as ``selective_scan_reference``; ``chunk`` steps are in memory at once."""
    check_shapes(x, dt, a, b, c, state)
    if chunk < 1:
        raise ValueError(f"chunk is {chunk}; a block must have at least 1 step")
    if state is None:
        state = x.new_zeros(x.shape[0], x.shape[2], a.shape[1], dtype=a.dtype)
    if x.shape[1] == 0:
        return x.new_zeros(x.shape), state
    y, final = Scan.apply(chunk, x, dt, a, b, c, state)  # type: ignore[no-untyped-call]
    return y, final


class Scan(Function):
    """The scan over chunks, and its gradient; arguments are the chunk and the scan's own."""

    @staticmethod
    def forward(ctx: Any, chunk: int, *tensors: Tensor) -> tuple[Tensor, Tensor]:
        """y (B, T, D) and the final state (B, D, N)."""
        x, dt, a, b, c, state = tensors
        y, final = torch.empty_like(x), torch.empty_like(state)
        starts = x.new_empty(-(-x.shape[1] // chunk), *state.shape)
        push = dt * x
        for rows in pieces(x, a, chunk):
            h = state[rows]
            for index, steps in enumerate(cuts(x, chunk)):
                starts[index, rows] = h
                _, hs = run(dt[rows, steps], a, push[rows, steps], b[rows, steps], h)
                y[rows, steps] = (hs @ c[rows, steps].unsqueeze(-1)).squeeze(-1)
                h = hs[:, -1]
            final[rows] = h
        ctx.save_for_backward(x, dt, a, b, c, starts)
        ctx.chunk = chunk
        return y, final

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Of x, dt, a, b, c and the first state, from those of y and the final state.

        ``g`` is the gradient of every state of a chunk; ``w`` that of every exponent ``Δ a``.
        """
        x, dt, a, b, c, starts = ctx.saved_tensors
        dy, d_state = gradients[0], gradients[1].clone()
        push = dt * x
        d_push, d_dt, d_a, d_b, d_c = (torch.zeros_like(tensor) for tensor in (x, dt, a, b, c))
        for rows in pieces(x, a, ctx.chunk):
            carried = d_state[rows]
            for index, steps in reversed(list(enumerate(cuts(x, ctx.chunk)))):
                at = (rows, steps)
                start = starts[index, rows]
                decays, hs = run(dt[at], a, push[at], b[at], start)
                d_c[at] = (dy[at].unsqueeze(2) @ hs).squeeze(2)
                g = dy[at].unsqueeze(-1) * c[at].unsqueeze(2)
                falling, decay = g.unbind(1), decays.unbind(1)
                falling[-1].add_(carried)
                for t in range(len(falling) - 1, 0, -1):
                    falling[t - 1].addcmul_(decay[t], falling[t])
                d_push[at] = (g @ b[at].unsqueeze(-1)).squeeze(-1)
                d_b[at] = (push[at].unsqueeze(2) @ g).squeeze(2)
                w = decays.mul_(g)
                carried = w[:, 0].clone()
                w[:, 0].mul_(start)
                w[:, 1:].mul_(hs[:, :-1])
                d_dt[at] = torch.linalg.vecdot(w, a)
                d_a += w.mul_(dt[at].unsqueeze(-1)).sum((0, 1))
            d_state[rows] = carried
        return None, d_push * dt, d_dt + d_push * x, d_a, d_b, d_c, d_state


def pieces(x: Tensor, a: Tensor, chunk: int) -> Iterator[slice]:
    """Rows of the batch that are worked on together: all of them, or what a CPU's cache holds."""
    rows = x.shape[0]
    size = max(1, CACHED // (min(chunk, x.shape[1]) * a.numel())) if x.device.type == "cpu" else max(rows, 1)
    for first in range(0, rows, size):
        yield slice(first, min(first + size, rows))


def cuts(x: Tensor, chunk: int) -> Iterator[slice]:
    """The steps of each chunk, in order."""
    for first in range(0, x.shape[1], chunk):
        yield slice(first, min(first + chunk, x.shape[1]))


def run(dt: Tensor, a: Tensor, push: Tensor, b: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
    """Decays and states (B, L, D, N) of a chunk that starts at ``h``; ``push`` is Δ x."""
    decays = (dt.unsqueeze(-1) * a).exp_()
    states = push.unsqueeze(-1) * b.unsqueeze(2)
    for decay, state in zip(decays.unbind(1), states.unbind(1), strict=True):
        state.addcmul_(decay, h)
        h = state
    return decays, states
