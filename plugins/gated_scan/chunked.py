"""The gated memory in chunks, in PyTorch and as a graph of plain ONNX operators.

Within a chunk, what step s wrote weighs at step t by the masked segment sum of every key's own decay, so no
decay is divided by and a large step takes no digits from the others. With ``a`` and ``b``, what the memory
answers at a step depends on the answers before it: a triangular system a chunk, solved block by block.
Glossary: see ``reference``; u are the answers, ``a_tᵀ S_{t-1}``.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from ..precision import in_float32
from ..segments import Triangle, segment_sums, triangle
from .reference import check_shapes


@in_float32
def gated_scan_chunked(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    log_decay: Tensor,
    state: Tensor | None = None,
    *,
    a: Tensor | None = None,
    b: Tensor | None = None,
    chunk: int = 16,
) -> tuple[Tensor, Tensor]:
    """Same arguments and results as ``gated_scan_reference``; ``chunk`` is the number of steps a block.

    Exports for a fixed T ≥ 1, any batch.
    """
    check_shapes(q, k, v, log_decay, state, a, b)
    if chunk < 1:
        raise ValueError(f"chunk is {chunk}; a block must have at least 1 step")
    time = q.shape[1]
    s = q.new_zeros(q.shape[0], q.shape[2], q.shape[3], v.shape[3]) if state is None else state
    masks = triangle(min(chunk, time), q)
    rows = [tensor for tensor in (q, k, v, log_decay, a, b) if tensor is not None]
    ys = []
    for start in range(0, time, chunk):
        part = slice(start, min(start + chunk, time))
        y, s = one_chunk([tensor[:, part].transpose(1, 2) for tensor in rows], s, masks)
        ys.append(y.transpose(1, 2))
    return (torch.cat(ys, dim=1) if ys else v.new_zeros(v.shape)), s


def one_chunk(rows: list[Tensor], s: Tensor, masks: Triangle) -> tuple[Tensor, Tensor]:
    """One chunk from s (B, H, K, V): q, k, log_decay, a, b (B, H, L, K) and v (B, H, L, V)."""
    q, k, v, log_decay = rows[:4]
    weights = segment_sums(log_decay.transpose(-1, -2), masks).exp_()  # (B, H, K, t, s)
    since = torch.exp(torch.cumsum(log_decay, dim=-2))  # (B, H, L, K)
    to_end = weights[..., -1, :].transpose(-1, -2)  # (B, H, L, K)
    written = weights * spread(k)
    y = (q * since) @ s + read(q, written) @ v
    final = since[..., -1, :, None] * s + (k * to_end).transpose(-1, -2) @ v
    if len(rows) > 4:
        a, b = rows[4:]
        before = functional.pad(since[..., :-1, :], (0, 0, 1, 0), value=1.0)
        added = weights * spread(b)
        direct = (a * before) @ s + earlier(a, written) @ v
        u = unit_inverse(earlier(a, added)) @ direct
        y = y + read(q, added) @ u
        final = final + (b * to_end).transpose(-1, -2) @ u
    return y, final


def spread(keys: Tensor) -> Tensor:
    """(B, H, L, K) -> (B, H, K, 1, L), beside weights of every step t."""
    return keys.transpose(-1, -2).unsqueeze(-2)


def read(queries: Tensor, written: Tensor) -> Tensor:
    """queries (B, H, t, K) of what was written, (B, H, K, t, s) -> (B, H, t, s)."""
    return (queries.transpose(-1, -2).unsqueeze(-1) * written).sum(2)


def earlier(queries: Tensor, written: Tensor) -> Tensor:
    """As ``read``, of the memory as the step before left it: zero unless s < t."""
    return functional.pad(read(queries[..., 1:, :], written[..., :-1, :]), (0, 0, 1, 0))


def unit_inverse(lower: Tensor) -> Tensor:
    """(I - lower)⁻¹ of a strictly lower triangular (..., L, L), by halves: ⌈log₂ L⌉ times two products.

    Blocks X, Y on the diagonal, which are inverted, and C below them make the block ``Y C X`` of the next
    level's inverse. That is substitution, and as stable; powers of ``lower`` would not be.
    """
    length = lower.shape[-1]
    step = torch.arange(length, device=lower.device)
    inverse = torch.eye(length, dtype=lower.dtype, device=lower.device)
    size = 1
    while size < length:
        block, pair = step // size, step // (2 * size)
        below = (pair.unsqueeze(1) == pair) & (block.unsqueeze(1) > block)
        inverse = inverse + inverse @ (lower * below) @ inverse
        size *= 2
    return inverse.expand(lower.shape)
