"""The gated memory on a GPU: one program a head and a tile of its values, step after step, in registers.

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
    "q": "*T", "k": "*T", "v": "*T", "log_decay": "*T", "a": "*T", "b": "*T",
    "past": "*fp32", "y": "*T", "final": "*fp32",
    "time": "i32", "heads": "i32", "keys": "i32", "values": "i32",
}  # fmt: skip
WARPS = 4


@triton.jit  # type: ignore[untyped-decorator]
def gated_scan_kernel(
    q: tl.tensor,
    k: tl.tensor,
    v: tl.tensor,
    log_decay: tl.tensor,
    a: tl.tensor,
    b: tl.tensor,
    past: tl.tensor,
    y: tl.tensor,
    final: tl.tensor,
    time: tl.tensor,
    heads: tl.tensor,
    keys: tl.tensor,
    values: tl.tensor,
    read: tl.tensor,
    write: tl.tensor,
    DELTA: tl.constexpr,
    BLOCK_K: tl.constexpr,
    BLOCK_V: tl.constexpr,
) -> None:
    """Grid (batch, heads, tiles of values). ``read`` and ``write``: see ``triton_launch``."""
    batch = tl.program_id(0).to(tl.int64)
    head = tl.program_id(1)
    column = tl.program_id(2) * BLOCK_V + tl.arange(0, BLOCK_V)
    key = tl.arange(0, BLOCK_K)
    in_k, in_v = key < keys, column < values
    inside = in_k[:, None] & in_v[None, :]
    place = key[:, None] * values + column[None, :]
    source = row_of(read, batch)
    s = tl.load(past + (source * heads + head) * keys * values + place, inside & (source >= 0), 0.0)  # (K, V)
    for t in range(time):
        at = (batch * time + t) * heads + head
        decay = tl.exp(tl.load(log_decay + at * keys + key, in_k, 0.0).to(tl.float32))
        written = tl.load(k + at * keys + key, in_k, 0.0).to(tl.float32)
        value = tl.load(v + at * values + column, in_v, 0.0).to(tl.float32)
        changed = decay[:, None] * s + written[:, None] * value[None, :]
        if DELTA:
            asked = tl.load(a + at * keys + key, in_k, 0.0).to(tl.float32)
            added = tl.load(b + at * keys + key, in_k, 0.0).to(tl.float32)
            changed += added[:, None] * tl.sum(asked[:, None] * s, 0)[None, :]
        s = changed
        query = tl.load(q + at * keys + key, in_k, 0.0).to(tl.float32)
        tl.store(y + at * values + column, tl.sum(query[:, None] * s, 0).to(y.dtype.element_ty), in_v)
    target = row_of(write, batch)
    if write is not None:
        tl.debug_barrier()  # the rows may be those that were read: all of this program's reading comes first
    tl.store(final + (target * heads + head) * keys * values + place, s, inside & (target >= 0))


def blocks(keys: int, values: int) -> dict[str, int]:
    """The tile of one program."""
    return {"BLOCK_K": block(keys), "BLOCK_V": block(values, most=16 if keys > 128 else 32)}


def gated_scan_triton(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    log_decay: Tensor,
    state: State = None,
    *,
    a: Tensor | None = None,
    b: Tensor | None = None,
    into: StateRows | None = None,
) -> tuple[Tensor, Tensor | StateRows]:
    """Same arguments and results as ``gated_scan_reference``, without gradients.

    Inputs: float32, bfloat16 or float16; y has v's type, the final state is float32.
    ``state`` may be ``StateRows``: rows of resident memory, read where they lie. With ``into``, the final
    state goes to rows instead of new memory, and those are returned; they may be the rows that are read.
    Raises ValueError, RuntimeError.
    """
    past, read = split(state)
    check_shapes(q, k, v, log_decay, None if read is not None else past, a, b)
    check_launch("gated_scan", q, k, v, log_decay, a, b, past)
    batch, time, heads, keys = q.shape
    values = v.shape[-1]
    like = q.new_empty(batch, heads, keys, values, dtype=torch.float32, device="meta")
    check_rows("gated_scan", like, state, into)
    past = torch.zeros_like(like, device=q.device) if past is None else past
    q, k, v, log_decay = contiguous(q, k, v, log_decay)
    asked, added = (q, q) if a is None or b is None else contiguous(a, b)
    (past,) = contiguous(past, dtype=torch.float32)
    y, (final, write) = torch.empty_like(v), final_state(like, q.device, into)
    tile = blocks(keys, values)
    with torch.cuda.device_of(q):
        gated_scan_kernel[(batch, heads, triton.cdiv(values, tile["BLOCK_V"]))](
            q,
            k,
            v,
            log_decay,
            asked,
            added,
            past,
            y,
            final,
            time,
            heads,
            keys,
            values,
            read,
            write,
            DELTA=a is not None,
            **tile,
            num_warps=WARPS,
            num_stages=1,
        )
    return y, final if into is None else into


def load() -> Callable[..., tuple[Tensor, Tensor | StateRows]]:
    """The operator as this kernel."""
    return gated_scan_triton
