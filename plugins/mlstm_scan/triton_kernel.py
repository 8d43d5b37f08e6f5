"""The mLSTM on a GPU: one program a head and a tile of its values, chunk after chunk.

        written = ks * tl.exp(to_end - m_new)[None, :, None]
        every = tl.broadcast_to(vs[None, :, :], (PARTS, BLOCK_T, BLOCK_V))
        c = keep * c + tl.dot(tl.trans(written, (0, 2, 1)), every, input_precision="tf32x3")
        n = keep * n + tl.sum(written, 1)
Products are "tf32x3", see ``ssd_scan.triton_kernel``. Glossary: see ``reference``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import cast

import torch
import triton
from torch import Tensor
from triton import language as tl

from ..state_rows import StateRows, check_rows
from ..triton_launch import block, check_launch, contiguous, final_state, row_of
from .reference import EMPTY, MlstmState, check_shapes, empty_state

MlstmRows = tuple[StateRows, StateRows, StateRows]
EMPTY_STABILISER = tl.constexpr(EMPTY)
PART = 32
"""Keys of a part: products over parts are summed. The tile of a longer one does not fit into registers."""

ARGUMENTS = {
    "q": "*T", "k": "*T", "v": "*T", "i": "*T", "f": "*T",
    "past_memory": "*fp32", "past_norm": "*fp32", "past_m": "*fp32",
    "h": "*T", "memory": "*fp32", "norm": "*fp32", "m": "*fp32",
    "time": "i32", "heads": "i32", "keys": "i32", "values": "i32", "scale": "fp32", "eps": "fp32",
}  # fmt: skip


@triton.jit  # type: ignore[untyped-decorator]
def log_sigmoid(gate: tl.tensor) -> tl.tensor:
    """``log σ(gate)``; the quotient makes up for what 1 + e loses of a small e."""
    e = tl.exp(-tl.abs(gate))
    one_more = 1.0 + e
    rounded = one_more - 1.0
    log1p = tl.where(rounded == 0.0, e, tl.log(one_more) * (e / tl.where(rounded == 0.0, 1.0, rounded)))
    return tl.minimum(gate, 0.0) - log1p


@triton.jit  # type: ignore[untyped-decorator]
def mlstm_scan_kernel(
    q: tl.tensor,
    k: tl.tensor,
    v: tl.tensor,
    i: tl.tensor,
    f: tl.tensor,
    past_memory: tl.tensor,
    past_norm: tl.tensor,
    past_m: tl.tensor,
    h: tl.tensor,
    memory: tl.tensor,
    norm: tl.tensor,
    m: tl.tensor,
    time: tl.tensor,
    heads: tl.tensor,
    keys: tl.tensor,
    values: tl.tensor,
    scale: tl.tensor,
    eps: tl.tensor,
    read: tl.tensor,
    write: tl.tensor,
    BLOCK_T: tl.constexpr,
    PARTS: tl.constexpr,
    BLOCK_K: tl.constexpr,
    BLOCK_V: tl.constexpr,
) -> None:
    """Grid (batch, heads, tiles of values). ``read`` and ``write``: see ``triton_launch``."""
    batch = tl.program_id(0).to(tl.int64)
    head = tl.program_id(1)
    column = tl.program_id(2) * BLOCK_V + tl.arange(0, BLOCK_V)
    key = (tl.arange(0, PARTS) * BLOCK_K)[:, None] + tl.arange(0, BLOCK_K)[None, :]  # (P, K)
    step = tl.arange(0, BLOCK_T)
    in_v = column < values
    in_k = key < keys
    causal = step[:, None] >= step[None, :]
    after = step[:, None] > step[None, :]
    source = row_of(read, batch)
    target = row_of(write, batch)
    from_head = source * heads + head
    to_head = target * heads + head
    inside = in_k[:, :, None] & in_v[None, None, :]
    place = key[:, :, None] * values + column[None, None, :]
    c = tl.load(past_memory + from_head * keys * values + place, inside & (source >= 0), 0.0)  # (P, K, V)
    n = tl.load(past_norm + from_head * keys + key, in_k & (source >= 0), 0.0)  # (P, K)
    m_old = tl.load(past_m + from_head, source >= 0, EMPTY_STABILISER)
    for start in range(0, time, BLOCK_T):
        t = start + step
        live = t < time  # steps past the end forget nothing and write nothing
        at_t = (batch * time + t) * heads + head
        gate = tl.load(i + at_t, live, float("-inf")).to(tl.float32)
        log_f = tl.where(live, log_sigmoid(tl.load(f + at_t, live, 0.0).to(tl.float32)), 0.0)
        in_keys = live[None, :, None] & in_k[:, None, :]
        at_keys = at_t[None, :, None] * keys + key[:, None, :]
        qs = tl.load(q + at_keys, in_keys, 0.0).to(tl.float32)  # (P, L, K)
        ks = tl.load(k + at_keys, in_keys, 0.0).to(tl.float32) * scale
        in_values = live[:, None] & in_v[None, :]
        at_values = at_t[:, None] * values + column[None, :]
        vs = tl.load(v + at_values, in_values, 0.0).to(tl.float32)  # (L, V)
        total = tl.cumsum(log_f, 0)  # (L,)
        end = tl.sum(log_f, 0)
        later = tl.where(after, log_f[:, None], 0.0)  # row t, column s: step t where it comes after s
        span = tl.where(causal, tl.cumsum(later, 0) + gate[None, :], float("-inf"))
        to_end = tl.sum(later, 0) + gate
        m_t = tl.maximum(total + m_old, tl.max(span, 1))  # (L,)
        from_start = tl.exp(total + m_old - m_t)
        match = tl.sum(tl.dot(qs, tl.trans(ks, (0, 2, 1)), input_precision="tf32x3"), 0)
        match *= tl.exp(span - m_t[:, None])
        out = tl.dot(match, vs, input_precision="tf32x3")
        out += from_start[:, None] * tl.sum(tl.dot(qs, c, input_precision="tf32x3"), 0)
        weight = tl.sum(match, 1) + from_start * tl.sum(tl.sum(qs * n[:, None, :], 2), 0)
        out = out / (tl.maximum(tl.abs(weight), tl.exp(-m_t)) + eps)[:, None]
        tl.store(h + at_values, out.to(h.dtype.element_ty), in_values)
        m_new = tl.maximum(end + m_old, tl.max(to_end, 0))
        keep = tl.exp(end + m_old - m_new)
        written = ks * tl.exp(to_end - m_new)[None, :, None]
        every = tl.broadcast_to(vs[None, :, :], (PARTS, BLOCK_T, BLOCK_V))
        c = keep * c + tl.dot(tl.trans(written, (0, 2, 1)), every, input_precision="tf32x3")
        n = keep * n + tl.sum(written, 1)
        m_old = m_new
    tl.store(memory + to_head * keys * values + place, c, inside & (target >= 0))
    if tl.program_id(2) == 0:
        tl.store(norm + to_head * keys + key, n, in_k & (target >= 0))
        tl.store(m + to_head, m_old, target >= 0)


def blocks(keys: int, values: int) -> dict[str, int]:
    """The tile of one program; matrix products need 16 rows and columns at least.

    For 192 keys, one product over all of them spilled 2 KB of registers a thread on sm_87 and sm_90; parts do
    not spill (counted by ptxas).
    """
    return {
        "BLOCK_T": 16,
        "PARTS": max(1, block(keys) // PART),
        "BLOCK_K": block(keys, least=16, most=PART),
        "BLOCK_V": block(values, least=16, most=16 if keys > 128 else 32),
    }


def warps(keys: int) -> int:
    """Warps of one program: they share out the parts of the keys."""
    return 8 if keys > 64 else 4


def split_rows(state: MlstmState | MlstmRows | None, into: MlstmRows | None) -> MlstmRows | None:
    """The state as rows, where it is rows. Raises ValueError where rows have several indices, or may meet."""
    rows = state if state is not None and isinstance(state[0], StateRows) else None
    for three in (rows, into):
        if three is not None and any(one.index is not three[0].index for one in three):
            raise ValueError("the memory, normaliser and stabiliser of an mLSTM must be rows of one index")
    if rows is not None and into is not None:
        pairs = zip(rows, into, strict=True)
        if any(one.overlaps(other) for one, other in pairs):
            raise ValueError("an mLSTM cannot write into the memory that it reads; give rows of another one")
    return rows


def mlstm_scan_triton(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    i: Tensor,
    f: Tensor,
    state: MlstmState | MlstmRows | None = None,
    *,
    eps: float = 1e-6,
    into: MlstmRows | None = None,
) -> tuple[Tensor, MlstmState | MlstmRows]:
    """Same arguments and results as ``mlstm_scan_reference``, without gradients.

    q, k, v, i, f: contiguous, float32, bfloat16 or float16; the states: contiguous float32. What is not is
    copied first. h has v's type, the final states are float32.
    ``state`` may be three ``StateRows`` of one index, which are read where they lie. With ``into``, the final
    states go to such rows; they must be of other memory than those that are read, since several programs
    read what one of them writes.
    Raises ValueError, RuntimeError.
    """
    rows = split_rows(state, into)
    past, read = cast("MlstmState | None", state), None
    if rows is not None:
        past, read = (rows[0].pool, rows[1].pool, rows[2].pool), rows[0].index
    check_shapes(q, k, v, i, f, past if read is None else None)
    past = empty_state(q, v) if past is None else past
    check_launch("mlstm_scan", q, k, v, i, f, *past)
    batch, time, heads, keys = q.shape
    values = v.shape[-1]
    likes = empty_state(q.new_empty(q.shape, device="meta"), v)
    for place, like in enumerate(likes):
        check_rows("mlstm_scan", like, rows and rows[place], into and into[place])
    q, k, v, i, f = contiguous(q, k, v, i, f)
    states = contiguous(*past, dtype=torch.float32)
    h = torch.empty_like(v)
    targets = [final_state(like, q.device, into and into[place]) for place, like in enumerate(likes)]
    memory, norm, m = (target for target, _ in targets)
    tile = blocks(keys, values)
    with torch.cuda.device_of(q):
        mlstm_scan_kernel[(batch, heads, triton.cdiv(values, tile["BLOCK_V"]))](
            q,
            k,
            v,
            i,
            f,
            *states,
            h,
            memory,
            norm,
            m,
            time,
            heads,
            keys,
            values,
            1 / math.sqrt(keys),
            eps,
            read,
            targets[0][1],
            **tile,
            num_warps=warps(keys),
            num_stages=1,
        )
    return h, (memory, norm, m) if into is None else into


def load() -> Callable[..., tuple[Tensor, MlstmState | MlstmRows]]:
    """The operator as this kernel."""
    return mlstm_scan_triton
