"""The mLSTM in chunks: matrix products within a chunk, the recurrence between chunks.

Stable for any gates: within a chunk, the weight of step s at step t is ``exp(F_ts + i_s - m_t)`` with F_ts
the sum of ``log σ(f)`` over the steps after s up to t; m_t is the largest of these exponents, so none is
positive. Glossary: see ``reference``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from ..precision import in_float32
from ..segments import Triangle, segment_sums, triangle
from .reference import MlstmState, check_shapes, empty_state

CACHED = 16
"""Heads of all rows whose decays of 64 by 64 steps stay in cache."""


@in_float32
def mlstm_scan_chunked(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    i: Tensor,
    f: Tensor,
    state: MlstmState | None = None,
    *,
    eps: float = 1e-6,
    chunk: int | None = None,
) -> tuple[Tensor, MlstmState]:
    """Same arguments and results as ``mlstm_scan_reference``; ``chunk`` is the number of steps a block.

    By default that is 64, or 32 where many heads would leave a CPU's cache.
    """
    check_shapes(q, k, v, i, f, state)
    if chunk is None:
        chunk = 64 if q.shape[0] * q.shape[2] <= CACHED else 32
    if chunk < 1:
        raise ValueError(f"chunk is {chunk}; a block must have at least 1 step")
    time = q.shape[1]
    carried = empty_state(q, v) if state is None else state
    log_f = -functional.softplus(-f)  # log σ(f); exported as itself it is log(0) from -104 on
    k = k / math.sqrt(q.shape[-1])
    masks = triangle(min(chunk, time), log_f)
    hs = []
    for start in range(0, time, chunk):
        part = slice(start, min(start + chunk, time))
        rows = [tensor[:, part].transpose(1, 2) for tensor in (q, k, v, i, log_f)]
        h, carried = one_chunk(rows, carried, eps, masks)
        hs.append(h.transpose(1, 2))
    return (torch.cat(hs, dim=1) if hs else v.new_zeros(v.shape)), carried


def one_chunk(
    rows: Sequence[Tensor], state: MlstmState, eps: float, masks: Triangle
) -> tuple[Tensor, MlstmState]:
    """One chunk, heads before time: q, k (B, H, L, K), k scaled; v (B, H, L, V); i, log_f (B, H, L).

    Returns: h (B, H, L, V) and the state after it.
    """
    q, k, v, i, log_f = rows
    memory, norm, m = state
    total = torch.cumsum(log_f, dim=-1)  # (B, H, L)
    span = segment_sums(log_f, masks).add_(i[..., None, :])  # (B, H, t, s), -inf where s > t
    carried = total + m[..., None]
    m_t = torch.maximum(carried, span.amax(-1))  # (B, H, L)
    from_start = torch.exp(carried - m_t)[..., None]  # weight of the chunk's first state
    weights = (span - m_t[..., None]).exp_()
    match = (q @ k.transpose(-1, -2)) * weights
    read = match @ v + from_start * (q @ memory)
    dot = match.sum(-1) + (from_start * (q @ norm[..., None])).squeeze(-1)
    h = read / (torch.maximum(dot.abs(), torch.exp(-m_t)) + eps)[..., None]
    keep = from_start[..., -1, :]
    write = weights[..., -1, :, None] * k  # (B, H, L, K)
    memory = keep[..., None] * memory + write.transpose(-1, -2) @ v
    return h, (memory, keep * norm + write.sum(2), m_t[..., -1])
