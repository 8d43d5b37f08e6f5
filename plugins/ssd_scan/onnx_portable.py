"""The Mamba-2 scan in plain ONNX operators (opset 20 and before): chunks of the masked segment sum.

As ``chunked``, arranged for a graph: the mask is a comparison of two ranges, groups are spread over their
heads by broadcasting, and chunks are short, since the graph is unrolled anyway and a long chunk costs its
length squared.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .reference import check_shapes


def ssd_scan_portable(
    x: Tensor, dt: Tensor, a: Tensor, b: Tensor, c: Tensor, state: Tensor | None = None, *, chunk: int = 32
) -> tuple[Tensor, Tensor]:
    """Same arguments and results as ``ssd_scan_reference``; exports for a fixed T ≥ 1, any batch."""
    check_shapes(x, dt, a, b, c, state)
    time, heads, channels = x.shape[1:]
    groups, states = b.shape[-2:]
    share = heads // groups
    h = x.new_zeros(x.shape[0], heads, states, channels) if state is None else state
    v = (dt.unsqueeze(-1) * x).transpose(1, 2)  # (B, H, T, P)
    log_decay = (a * dt).transpose(1, 2)  # (B, H, T)

    def per_head(tensor: Tensor) -> Tensor:  # (B, T, G, N) -> (B, H, T, N)
        spread = tensor.transpose(1, 2).unsqueeze(2).expand(-1, -1, share, -1, -1)
        return spread.reshape(-1, heads, time, states)

    k, q = per_head(b), per_head(c)
    ys = []
    for start in range(0, time, chunk):
        part = slice(start, min(start + chunk, time))
        total = torch.cumsum(log_decay[:, :, part], dim=-1)  # (B, H, L): log decay since the chunk's start
        step = torch.arange(total.shape[-1], device=x.device)
        past = step.unsqueeze(1) >= step.unsqueeze(0)  # (L, L), True where s <= t
        span = torch.where(past, total.unsqueeze(-1) - total.unsqueeze(-2), -torch.inf)
        match = (q[:, :, part] @ k[:, :, part].transpose(-1, -2)) * torch.exp(span)
        ys.append(match @ v[:, :, part] + torch.exp(total).unsqueeze(-1) * (q[:, :, part] @ h))
        to_end = torch.exp(total[..., -1:] - total).unsqueeze(-1)  # (B, H, L, 1)
        write = (k[:, :, part] * to_end).transpose(-1, -2) @ v[:, :, part]
        h = torch.exp(total[..., -1:]).unsqueeze(-1) * h + write
    return (torch.cat(ys, dim=2).transpose(1, 2) if ys else x.new_zeros(x.shape)), h
