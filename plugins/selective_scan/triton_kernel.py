"""The Mamba-1 scan on a GPU: one program a few channels, whose states stay in registers for the whole call.

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
    "time": "i32", "channels": "i32", "states": "i32",
}  # fmt: skip
WARPS = 1


@triton.jit  # type: ignore[untyped-decorator]
def selective_scan_kernel(
    x: tl.tensor,
    dt: tl.tensor,
    a: tl.tensor,
    b: tl.tensor,
    c: tl.tensor,
    past: tl.tensor,
    y: tl.tensor,
    final: tl.tensor,
    time: tl.tensor,
    channels: tl.tensor,
    states: tl.tensor,
    read: tl.tensor,
    write: tl.tensor,
    BLOCK_D: tl.constexpr,
    BLOCK_N: tl.constexpr,
) -> None:
    """Grid (batch, tiles of channels). ``read`` and ``write``: see ``triton_launch``."""
    batch = tl.program_id(0).to(tl.int64)
    d = tl.program_id(1) * BLOCK_D + tl.arange(0, BLOCK_D)
    n = tl.arange(0, BLOCK_N)
    in_d = d < channels
    in_n = n < states
    inside = in_d[:, None] & in_n[None, :]
    place = d[:, None] * states + n[None, :]
    rate = tl.load(a + place, inside, 0.0)  # (D, N)
    source = row_of(read, batch)
    h = tl.load(past + source * channels * states + place, inside & (source >= 0), 0.0)
    row = batch * time
    for _ in range(time):
        delta = tl.load(dt + row * channels + d, in_d, 0.0).to(tl.float32)
        push = tl.load(x + row * channels + d, in_d, 0.0).to(tl.float32) * delta
        key = tl.load(b + row * states + n, in_n, 0.0).to(tl.float32)
        query = tl.load(c + row * states + n, in_n, 0.0).to(tl.float32)
        h = tl.exp(delta[:, None] * rate) * h + push[:, None] * key[None, :]
        tl.store(y + row * channels + d, tl.sum(h * query[None, :], 1).to(y.dtype.element_ty), in_d)
        row += 1
    target = row_of(write, batch)
    if write is not None:
        tl.debug_barrier()  # the rows may be those that were read: all of this program's reading comes first
    tl.store(final + target * channels * states + place, h, inside & (target >= 0))


def blocks(channels: int, states: int) -> dict[str, int]:
    """The tile of one program: about 128 states, so that a warp holds it and many programs fill the GPU."""
    width = block(states)
    return {"BLOCK_D": block(channels, most=max(128 // width, 1)), "BLOCK_N": width}


def selective_scan_triton(
    x: Tensor,
    dt: Tensor,
    a: Tensor,
    b: Tensor,
    c: Tensor,
    state: State = None,
    *,
    into: StateRows | None = None,
) -> tuple[Tensor, Tensor | StateRows]:
    """Same arguments and results as ``selective_scan_reference``, without gradients.

    x, dt, b, c: contiguous, float32, bfloat16 or float16; a and the states: contiguous float32. What is
    not is copied first. y has x's type, the final state is float32.
    ``state`` may be ``StateRows``: rows of resident memory, read where they lie. With ``into``, the final
    state goes to rows instead of new memory, and those are returned; they may be the rows that are read.
    Raises ValueError, RuntimeError.
    """
    past, read = split(state)
    check_shapes(x, dt, a, b, c, None if read is not None else past)
    check_launch("selective_scan", x, dt, a, b, c, past)
    batch, time, channels = x.shape
    states = a.shape[1]
    like = a.new_empty(batch, channels, states, dtype=torch.float32, device="meta")
    check_rows("selective_scan", like, state, into)
    past = torch.zeros_like(like, device=x.device) if past is None else past
    x, dt, b, c = contiguous(x, dt, b, c)
    a, past = contiguous(a, past, dtype=torch.float32)
    y, (final, write) = torch.empty_like(x), final_state(like, x.device, into)
    tile = blocks(channels, states)
    with torch.cuda.device_of(x):
        selective_scan_kernel[(batch, triton.cdiv(channels, tile["BLOCK_D"]))](
            x,
            dt,
            a,
            b,
            c,
            past,
            y,
            final,
            time,
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
    return selective_scan_triton
