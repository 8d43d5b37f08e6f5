"""The Mamba-2 scan in chunks: matrix products within a chunk, the recurrence between chunks.

Source: Dao and Gu, "Transformers are SSMs", section 6 (block decomposition). Glossary: see ``reference``.
Stable for any step size: within a chunk only masked segment sums are exponentiated, none of which is
positive, so nothing overflows and a large step takes no digits from the others.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..precision import in_float32
from ..segments import segment_sums, triangle
from .reference import check_shapes


@in_float32
def ssd_scan_chunked(
    x: Tensor, dt: Tensor, a: Tensor, b: Tensor, c: Tensor, state: Tensor | None = None, *, chunk: int = 64
) -> tuple[Tensor, Tensor]:
    """Same arguments and results as ``ssd_scan_reference``; ``chunk`` is the number of steps a block."""
    check_shapes(x, dt, a, b, c, state)
    if chunk < 1:
        raise ValueError(f"chunk is {chunk}; a block must have at least 1 step")
    batch, time, heads, channels = x.shape
    groups, states = b.shape[-2:]
    share = heads // groups
    h = x.new_zeros(batch, heads, states, channels) if state is None else state
    masks = triangle(min(chunk, time), x)
    ys = []
    for start in range(0, time, chunk):
        part = slice(start, min(start + chunk, time))
        v = (dt[:, part, :, None] * x[:, part]).transpose(1, 2)  # (B, H, L, P)
        log_decay = (a * dt[:, part]).transpose(1, 2)  # (B, H, L)
        decay = segment_sums(log_decay, masks).exp_()  # (B, H, L, L), from every step to every later one
        since_start = torch.exp(torch.cumsum(log_decay, dim=-1))[..., None]
        k = b[:, part].transpose(1, 2)  # (B, G, L, N)
        q = c[:, part].transpose(1, 2)
        match = (q @ k.transpose(-1, -2)).repeat_interleave(share, dim=1)  # (B, H, L, L)
        if share > 1:
            k, q = k.repeat_interleave(share, dim=1), q.repeat_interleave(share, dim=1)
        y = (match * decay) @ v + since_start * (q @ h)
        h = since_start[..., -1:, :] * h + (k * decay[..., -1, :, None]).transpose(-1, -2) @ v
        ys.append(y.transpose(1, 2))
    return (torch.cat(ys, dim=1) if ys else x.new_zeros(x.shape)), h
