"""The Mamba-2 scan on a GPU: one program a head and a tile of its channels, chunk after chunk.

The state stays in registers; within a chunk the work is small matrix products, as in ``chunked``, with the
same masked segment sums. Each product is three of TF32 ("tf32x3"), which together keep float32's digits and
run on tensor cores; one alone would lose three digits, and plain float32 needs more registers than there are.
Glossary: see ``reference``.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import triton
from torch import Tensor
from triton import language as tl

from ..state_rows import State, StateRows, check_rows, split
from ..triton_launch import block, check_launch, contiguous, final_state, row_of
from .reference import check_shapes

ARGUMENTS = {
    "x": "*T", "dt": "*T", "a": "*fp32", "b": "*T", "c": "*T", "past": "*fp32", "y": "*T", "final": "*fp32",
    "time": "i32", "heads": "i32", "groups": "i32", "channels": "i32", "states": "i32",
}  # fmt: skip
WARPS = 4


@triton.jit  # type: ignore[untyped-decorator]
def ssd_scan_kernel(
    x: tl.tensor,
    dt: tl.tensor,
    a: tl.tensor,
    b: tl.tensor,
    c: tl.tensor,
    past: tl.tensor,
    y: tl.tensor,
    final: tl.tensor,
    time: tl.tensor,
    heads: tl.tensor,
    groups: tl.tensor,
    channels: tl.tensor,
    states: tl.tensor,
    read: tl.tensor,
    write: tl.tensor,
    BLOCK_T: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_P: tl.constexpr,
) -> None:
    """Grid (batch, heads, tiles of channels). ``read`` and ``write``: see ``triton_launch``."""
    batch = tl.program_id(0).to(tl.int64)
    head = tl.program_id(1)
    p = tl.program_id(2) * BLOCK_P + tl.arange(0, BLOCK_P)
    n = tl.arange(0, BLOCK_N)
    step = tl.arange(0, BLOCK_T)
    group = head // (heads // groups)
    in_p = p < channels
    in_n = n < states
    causal = step[:, None] >= step[None, :]
    after = step[:, None] > step[None, :]
    place = (head * states + n[:, None]) * channels + p[None, :]
    inside = in_n[:, None] & in_p[None, :]
    source = row_of(read, batch)
    h = tl.load(past + source * heads * states * channels + place, inside & (source >= 0), 0.0)  # (N, P)
    rate = tl.load(a + head)
    for start in range(0, time, BLOCK_T):
        t = start + step
        live = t < time  # steps past the end have Δ = 0 and b = 0: they change nothing
        row = batch * time + t
        delta = tl.load(dt + row * heads + head, live, 0.0).to(tl.float32)
        at_x = (row[:, None] * heads + head) * channels + p[None, :]
        in_x = live[:, None] & in_p[None, :]
        v = tl.load(x + at_x, in_x, 0.0).to(tl.float32) * delta[:, None]  # (L, P)
        at_k = (row[:, None] * groups + group) * states + n[None, :]
        in_k = live[:, None] & in_n[None, :]
        k = tl.load(b + at_k, in_k, 0.0).to(tl.float32)  # (L, N)
        q = tl.load(c + at_k, in_k, 0.0).to(tl.float32)
        log_decay = delta * rate  # (L,)
        later = tl.where(after, log_decay[:, None], 0.0)  # row t, column s: step t where it comes after s
        span = tl.where(causal, tl.cumsum(later, 0), float("-inf"))
        match = tl.dot(q, tl.trans(k), input_precision="tf32x3") * tl.exp(span)
        out = tl.dot(match, v, input_precision="tf32x3")
        since_start = tl.exp(tl.cumsum(log_decay, 0))
        out += since_start[:, None] * tl.dot(q, h, input_precision="tf32x3")
        tl.store(y + at_x, out.to(y.dtype.element_ty), in_x)
        weighted = k * tl.exp(tl.sum(later, 0))[:, None]
        h = tl.exp(tl.sum(log_decay, 0)) * h + tl.dot(tl.trans(weighted), v, input_precision="tf32x3")
    target = row_of(write, batch)
    if write is not None:
        tl.debug_barrier()  # the rows may be those that were read: all of this program's reading comes first
    tl.store(final + target * heads * states * channels + place, h, inside & (target >= 0))


def blocks(time: int, channels: int, states: int) -> dict[str, int]:
    """The tile of one program; matrix products need 16 rows and columns at least."""
    return {
        "BLOCK_T": block(time, least=16, most=32 if states <= 32 else 16),
        "BLOCK_N": block(states, least=16),
        "BLOCK_P": block(channels, least=16, most=32),
    }


def ssd_scan_triton(
    x: Tensor,
    dt: Tensor,
    a: Tensor,
    b: Tensor,
    c: Tensor,
    state: State = None,
    *,
    into: StateRows | None = None,
) -> tuple[Tensor, Tensor | StateRows]:
    """Same arguments and results as ``ssd_scan_reference``, without gradients.

    x, dt, b, c: contiguous, float32, bfloat16 or float16; a and the states: contiguous float32. What is
    not is copied first. y has x's type, the final state is float32.
    ``state`` may be ``StateRows``: rows of resident memory, read where they lie. With ``into``, the final
    state goes to rows instead of new memory, and those are returned; they may be the rows that are read.
    Raises ValueError, RuntimeError.
    """
    past, read = split(state)
    check_shapes(x, dt, a, b, c, None if read is not None else past)
    check_launch("ssd_scan", x, dt, a, b, c, past)
    batch, time, heads, channels = x.shape
    groups, states = b.shape[-2:]
    like = a.new_empty(batch, heads, states, channels, dtype=torch.float32, device="meta")
    check_rows("ssd_scan", like, state, into)
    past = torch.zeros_like(like, device=x.device) if past is None else past
    x, dt, b, c = contiguous(x, dt, b, c)
    a, past = contiguous(a, past, dtype=torch.float32)
    y, (final, write) = torch.empty_like(x), final_state(like, x.device, into)
    tile = blocks(time, channels, states)
    with torch.cuda.device_of(x):
        ssd_scan_kernel[(batch, heads, triton.cdiv(channels, tile["BLOCK_P"]))](
            x,
            dt,
            a,
            b,
            c,
            past,
            y,
            final,
            time,
            heads,
            groups,
            channels,
            states,
            read,
            write,
            **tile,
            num_warps=WARPS,
            num_stages=1,
        )
    return y, final if into is None else into


def load() -> Callable[..., tuple[Tensor, Tensor | StateRows]]:
    """The operator as this kernel."""
    return ssd_scan_triton
