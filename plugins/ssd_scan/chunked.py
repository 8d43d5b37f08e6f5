"""The Mamba-2 scan in chunks: matrix products within a chunk, the recurrence between chunks.

Source: Dao and Gu, "Transformers are SSMs", section 6 (block decomposition). Glossary: see ``reference``.
Stable for any step size: within a chunk only differences of the cumulative sum are exponentiated, and only
where they are not positive (the masked segment sum), so nothing overflows.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .reference import check_shapes


def ssd_scan_chunked(
    x: Tensor, dt: Tensor, a: Tensor, b: Tensor, c: Tensor, state: Tensor | None = None, *, chunk: int = 256
) -> tuple[Tensor, Tensor]:
    """Same arguments and results as ``ssd_scan_reference``; ``chunk`` is the number of steps a block."""
    check_shapes(x, dt, a, b, c, state)
    if chunk < 1:
        raise ValueError(f"chunk is {chunk}; a block must have at least 1 step")
    batch, time, heads, channels = x.shape
    groups, states = b.shape[-2:]
    share = heads // groups
    h = x.new_zeros(batch, heads, states, channels) if state is None else state
    ys = []
    for start in range(0, time, chunk):
        part = slice(start, min(start + chunk, time))
        v = (dt[:, part, :, None] * x[:, part]).transpose(1, 2)  # (B, H, L, P)
        total = torch.cumsum(
            (a * dt[:, part]).transpose(1, 2), dim=-1
        )  # (B, H, L): log decay since the start
        span = total[..., :, None] - total[..., None, :]  # (B, H, L, L)
        length = span.shape[-1]
        future = torch.ones(length, length, dtype=torch.bool, device=x.device).triu(1)
        decay = torch.exp(span.masked_fill(future, -torch.inf))
        k = b[:, part].transpose(1, 2)  # (B, G, L, N)
        q = c[:, part].transpose(1, 2)
        match = (q @ k.transpose(-1, -2)).repeat_interleave(share, dim=1)  # (B, H, L, L)
        if share > 1:
            k, q = k.repeat_interleave(share, dim=1), q.repeat_interleave(share, dim=1)
        y = (match * decay) @ v + torch.exp(total)[..., None] * (q @ h)
        to_end = torch.exp(total[..., -1:] - total)  # (B, H, L)
        h = torch.exp(total[..., -1])[..., None, None] * h + (k * to_end[..., None]).transpose(-1, -2) @ v
        ys.append(y.transpose(1, 2))
    return (torch.cat(ys, dim=1) if ys else x.new_zeros(x.shape)), h
