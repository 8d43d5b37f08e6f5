"""The Mamba-2 scan in plain ONNX operators (opset 20 and before): chunks of the masked segment sum.

As ``chunked``, arranged for a graph: the mask is a comparison of two ranges, groups are spread over their
heads by broadcasting, and chunks are short, since the graph is unrolled anyway and a long chunk costs its
length squared. Where T is an open dimension of the graph, nothing can be unrolled: there the recurrence
between chunks is itself a masked segment sum over chunks.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from .reference import check_shapes


def ssd_scan_portable(
    x: Tensor, dt: Tensor, a: Tensor, b: Tensor, c: Tensor, state: Tensor | None = None, *, chunk: int = 32
) -> tuple[Tensor, Tensor]:
    """Same arguments and results as ``ssd_scan_reference``; exports for any batch, T ≥ 1 fixed or open."""
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
    if not isinstance(time, int):
        y, h = open_time(v, k, q, log_decay, h)
        return y.transpose(1, 2), h
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


def open_time(
    v: Tensor, k: Tensor, q: Tensor, log_decay: Tensor, h: Tensor, *, chunk: int = 32
) -> tuple[Tensor, Tensor]:
    """The same scan without a loop, for any T: v (B, H, T, P), k and q (B, H, T, N), h (B, H, N, P).

    Steps of no decay and no input are added behind, up to whole chunks; they change nothing.
    """
    time = v.shape[2]
    count = (time + chunk - 1) // chunk
    more = count * chunk - time

    def chunks(tensor: Tensor) -> Tensor:  # (B, H, T, C) -> (B, H, chunks, L, C)
        padded = functional.pad(tensor, (0, 0, 0, more))
        return padded.reshape(*tensor.shape[:2], count, chunk, tensor.shape[3])

    vs, ks, qs = chunks(v), chunks(k), chunks(q)
    total = torch.cumsum(chunks(log_decay.unsqueeze(-1)).squeeze(-1), dim=-1)  # (B, H, chunks, L)
    span = masked(total.unsqueeze(-1) - total.unsqueeze(-2), strict=False)
    within = ((qs @ ks.transpose(-1, -2)) * torch.exp(span)) @ vs
    to_end = torch.exp(total[..., -1:] - total).unsqueeze(-1)
    written = (ks * to_end).transpose(-1, -2) @ vs  # (B, H, chunks, N, P)

    sums = torch.cumsum(total[..., -1], dim=-1)  # (B, H, chunks): log decay at the end of each
    before = sums - total[..., -1]
    reach = torch.exp(masked(before.unsqueeze(-1) - sums.unsqueeze(-2), strict=True))
    earlier = (reach @ written.flatten(3)).unflatten(3, (h.shape[2], h.shape[3]))
    entering = torch.exp(before)[..., None, None] * h.unsqueeze(2) + earlier
    y = within + torch.exp(total).unsqueeze(-1) * (qs @ entering)
    to_last = torch.exp(sums[..., -1:] - sums)[..., None, None]
    final = torch.exp(sums[..., -1])[..., None, None] * h + (to_last * written).sum(2)
    return y.flatten(2, 3)[:, :, :time], final


def masked(difference: Tensor, *, strict: bool) -> Tensor:
    """(…, n, n) with -inf where the column is not before (``strict``) or not at or before the row."""
    step = torch.arange(difference.shape[-1], device=difference.device)
    past = step.unsqueeze(1) > step.unsqueeze(0) if strict else step.unsqueeze(1) >= step.unsqueeze(0)
    return torch.where(past, difference, -torch.inf)
