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

from ..precision import in_float32
from ..segments import segment_sums, triangle
from .reference import check_shapes


@in_float32
def ssd_scan_portable(
    x: Tensor, dt: Tensor, a: Tensor, b: Tensor, c: Tensor, state: Tensor | None = None, *, chunk: int = 32
) -> tuple[Tensor, Tensor]:
    """Same arguments and results as ``ssd_scan_reference``; exports for any batch, T ≥ 1 fixed or open."""
    check_shapes(x, dt, a, b, c, state)
    time, heads, channels = x.shape[1:]
    groups, states = b.shape[-2:]
    share = heads // groups
    h = x.new_zeros(x.shape[0], heads, states, channels) if state is None else state
    if time == 0:
        return x.new_zeros(x.shape), h
    v = (dt.unsqueeze(-1) * x).transpose(1, 2)  # (B, H, T, P)
    log_decay = (a * dt).transpose(1, 2)  # (B, H, T)

    def per_head(tensor: Tensor) -> Tensor:  # (B, T, G, N) -> (B, H, T, N)
        spread = tensor.transpose(1, 2).unsqueeze(2).expand(-1, -1, share, -1, -1)
        return spread.reshape(-1, heads, time, states)

    k, q = per_head(b), per_head(c)
    if not isinstance(time, int):
        y, h = open_time(v, k, q, log_decay, h)
        return y.transpose(1, 2), h
    masks = triangle(min(chunk, time), x)
    ys = []
    for start in range(0, time, chunk):
        part = slice(start, min(start + chunk, time))
        decay = segment_sums(log_decay[:, :, part], masks).exp_()  # (B, H, L, L)
        since_start = torch.exp(torch.cumsum(log_decay[:, :, part], dim=-1)).unsqueeze(-1)
        match = (q[:, :, part] @ k[:, :, part].transpose(-1, -2)) * decay
        ys.append(match @ v[:, :, part] + since_start * (q[:, :, part] @ h))
        write = (k[:, :, part] * decay[..., -1, :].unsqueeze(-1)).transpose(-1, -2) @ v[:, :, part]
        h = since_start[:, :, -1:] * h + write
    return torch.cat(ys, dim=2).transpose(1, 2), h


def open_time(
    v: Tensor, k: Tensor, q: Tensor, log_decay: Tensor, h: Tensor, *, chunk: int = 32
) -> tuple[Tensor, Tensor]:
    """The same scan without a loop, for any T: v (B, H, T, P), k and q (B, H, T, N), h (B, H, N, P).

    Steps of no decay and no input are added behind, up to whole chunks; they change nothing. Between chunks
    the first state counts as what a chunk before the first one wrote.
    """
    time = v.shape[2]
    count = (time + chunk - 1) // chunk
    more = count * chunk - time

    def chunks(tensor: Tensor) -> Tensor:  # (B, H, T, C) -> (B, H, chunks, L, C)
        padded = functional.pad(tensor, (0, 0, 0, more))
        return padded.reshape(*tensor.shape[:2], count, chunk, tensor.shape[3])

    vs, ks, qs = chunks(v), chunks(k), chunks(q)
    steps = chunks(log_decay.unsqueeze(-1)).squeeze(-1)  # (B, H, chunks, L)
    decay, total = segment_sums(steps, triangle(chunk, v)).exp_(), torch.cumsum(steps, dim=-1)
    within = ((qs @ ks.transpose(-1, -2)) * decay) @ vs
    written = (ks * decay[..., -1, :].unsqueeze(-1)).transpose(-1, -2) @ vs  # (B, H, chunks, N, P)
    written = torch.cat([h.unsqueeze(2), written], dim=2)
    ends = functional.pad(total[..., -1], (1, 0))  # (B, H, chunks + 1)
    reach = segment_sums(ends, triangle(count + 1, v)).exp_()
    states = (reach @ written.flatten(3)).unflatten(3, (h.shape[2], h.shape[3]))  # after each chunk
    y = within + torch.exp(total).unsqueeze(-1) * (qs @ states[:, :, :-1])
    return y.flatten(2, 3)[:, :, :time], states[:, :, -1]
