"""The mLSTM in chunks: matrix products within a chunk, the recurrence between chunks.

Stable for any gates: within a chunk, the weight of step s at step t is ``exp(F_t - F_s + i_s - m_t)`` with F
the cumulative sum of ``log σ(f)``; m_t is the largest of these exponents, so none is positive.
Glossary: see ``reference``.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from .reference import MlstmState, check_shapes, empty_state


def mlstm_scan_chunked(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    i: Tensor,
    f: Tensor,
    state: MlstmState | None = None,
    *,
    eps: float = 1e-6,
    chunk: int = 64,
) -> tuple[Tensor, MlstmState]:
    """Same arguments and results as ``mlstm_scan_reference``; ``chunk`` is the number of steps a block."""
    check_shapes(q, k, v, i, f, state)
    if chunk < 1:
        raise ValueError(f"chunk is {chunk}; a block must have at least 1 step")
    time = q.shape[1]
    carried = empty_state(q, v) if state is None else state
    log_f = functional.logsigmoid(f)
    k = k / math.sqrt(q.shape[-1])
    hs = []
    for start in range(0, time, chunk):
        part = slice(start, min(start + chunk, time))
        rows = [tensor[:, part].transpose(1, 2) for tensor in (q, k, v, i, log_f)]
        h, carried = one_chunk(rows, carried, eps)
        hs.append(h.transpose(1, 2))
    return (torch.cat(hs, dim=1) if hs else v.new_zeros(v.shape)), carried


def one_chunk(rows: Sequence[Tensor], state: MlstmState, eps: float) -> tuple[Tensor, MlstmState]:
    """One chunk, heads before time: q, k (B, H, L, K), k scaled; v (B, H, L, V); i, log_f (B, H, L).

    Returns: h (B, H, L, V) and the state after it.
    """
    q, k, v, i, log_f = rows
    memory, norm, m = state
    total = torch.cumsum(log_f, dim=-1)  # F, (B, H, L)
    step = torch.arange(q.shape[2], device=q.device)
    past = step[:, None] >= step[None, :]  # (L, L), True where s <= t
    span = total[..., :, None] - total[..., None, :] + i[..., None, :]
    span = torch.where(past, span, -torch.inf)  # (B, H, t, s)
    m_t = torch.maximum(total + m[..., None], span.amax(-1))  # (B, H, L)
    from_start = torch.exp(total + m[..., None] - m_t)[..., None]  # weight of the chunk's first state
    match = (q @ k.transpose(-1, -2)) * torch.exp(span - m_t[..., None])
    read = match @ v + from_start * (q @ memory)
    dot = match.sum(-1) + (from_start * (q @ norm[..., None])).squeeze(-1)
    h = read / (torch.maximum(dot.abs(), torch.exp(-m_t)) + eps)[..., None]
    m_end = m_t[..., -1]
    keep = torch.exp(total[..., -1] + m - m_end)[..., None]
    write = torch.exp(span[..., -1, :] - m_end[..., None])[..., None] * k  # (B, H, L, K)
    memory = keep[..., None] * memory + write.transpose(-1, -2) @ v
    return h, (memory, keep * norm + write.sum(2), m_end)
