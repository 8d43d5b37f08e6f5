"""Causal convolution on a GPU: one program a tile of steps and channels. Glossary: see ``reference``."""

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
    "x": "*T", "weight": "*T", "bias": "*T", "past": "*T", "y": "*T", "final": "*T",
    "time": "i32", "channels": "i32",
}  # fmt: skip
WARPS = 4


@triton.jit  # type: ignore[untyped-decorator]
def causal_conv1d_kernel(
    x: tl.tensor,
    weight: tl.tensor,
    bias: tl.tensor,
    past: tl.tensor,
    y: tl.tensor,
    final: tl.tensor,
    time: tl.tensor,
    channels: tl.tensor,
    read: tl.tensor,
    write: tl.tensor,
    TAPS: tl.constexpr,
    SILU: tl.constexpr,
    BLOCK_T: tl.constexpr,
    BLOCK_D: tl.constexpr,
) -> None:
    """Grid (batch, tiles of steps, tiles of channels). ``read`` and ``write``: see ``triton_launch``."""
    batch = tl.program_id(0).to(tl.int64)
    t = tl.program_id(1) * BLOCK_T + tl.arange(0, BLOCK_T)
    d = tl.program_id(2) * BLOCK_D + tl.arange(0, BLOCK_D)
    inside = d < channels
    x += batch * time * channels
    y += batch * time * channels
    source_row, target = row_of(read, batch), row_of(write, batch)
    past += source_row * channels * (TAPS - 1)
    final += target * channels * (TAPS - 1)
    has_past = inside & (source_row >= 0)
    total = tl.zeros([BLOCK_T, BLOCK_D], tl.float32)
    total += tl.load(bias + d, inside, 0.0).to(tl.float32)[None, :]
    for tap in tl.static_range(TAPS):
        source = t - (TAPS - 1) + tap  # the step that this tap reads; before 0 it is in the past state
        from_x = (source >= 0)[:, None] & (source < time)[:, None] & inside[None, :]
        from_past = (source < 0)[:, None] & has_past[None, :]
        value = tl.load(x + source[:, None] * channels + d[None, :], from_x, 0.0).to(tl.float32)
        column = source[:, None] + (TAPS - 1)
        value += tl.load(past + d[None, :] * (TAPS - 1) + column, from_past, 0.0).to(tl.float32)
        total += value * tl.load(weight + d * TAPS + tap, inside, 0.0).to(tl.float32)[None, :]
    if SILU:
        total = total * tl.sigmoid(total)
    live = (t < time)[:, None] & inside[None, :]
    tl.store(y + t[:, None] * channels + d[None, :], total.to(y.dtype.element_ty), live)
    if tl.program_id(1) == 0:
        for kept in tl.static_range(TAPS - 1):
            step = time - (TAPS - 1) + kept
            last = tl.load(x + step * channels + d, inside & (step >= 0), 0.0).to(tl.float32)
            older = has_past & (step < 0)
            last += tl.load(past + d * (TAPS - 1) + kept + time, older, 0.0).to(tl.float32)
            if write is not None:
                tl.debug_barrier()  # the rows may be those that were read; what is read later lies further on
            tl.store(final + d * (TAPS - 1) + kept, last.to(final.dtype.element_ty), inside & (target >= 0))


def blocks(time: int, channels: int) -> dict[str, int]:
    """The tile of one program."""
    return {"BLOCK_T": block(time, most=8), "BLOCK_D": block(channels, most=64)}


def causal_conv1d_triton(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    state: State = None,
    *,
    silu: bool = True,
    into: StateRows | None = None,
) -> tuple[Tensor, Tensor | StateRows]:
    """Same arguments and results as ``causal_conv1d_reference``, without gradients.

    x, weight, bias and state: contiguous, float32, bfloat16 or float16. What is not is copied first. y has
    x's type, and so should the state, which holds inputs.
    ``state`` may be ``StateRows``: rows of resident memory, read where they lie. With ``into``, the final
    state goes to rows instead of new memory, and those are returned; they may be the rows that are read.
    Raises ValueError, RuntimeError.
    """
    past, read = split(state)
    check_shapes(x, weight, bias, None if read is not None else past)
    check_launch("causal_conv1d", x, weight, bias, past)
    batch, time, channels = x.shape
    taps = weight.shape[1]
    bias = x.new_zeros(channels) if bias is None else bias
    kind = x.dtype if past is None else past.dtype
    like = x.new_empty(batch, channels, taps - 1, dtype=kind, device="meta")
    check_rows("causal_conv1d", like, state, into)
    past = torch.zeros_like(like, device=x.device) if past is None else past
    x, weight, bias, past = contiguous(x, weight, bias, past)
    y, (final, write) = torch.empty_like(x), final_state(like, x.device, into)
    tile = blocks(time, channels)
    if write is not None:  # all that reads the past state is in the program that writes the next one
        tile["BLOCK_T"] = max(tile["BLOCK_T"], block(taps - 1))
    grid = (batch, max(triton.cdiv(time, tile["BLOCK_T"]), 1), triton.cdiv(channels, tile["BLOCK_D"]))
    with torch.cuda.device_of(x):
        causal_conv1d_kernel[grid](
            x,
            weight,
            bias,
            past,
            y,
            final,
            time,
            channels,
            read,
            write,
            TAPS=taps,
            SILU=silu,
            **tile,
            num_warps=WARPS,
            num_stages=1,
        )
    return y, final if into is None else into


def load() -> Callable[..., tuple[Tensor, Tensor | StateRows]]:
    """The operator as this kernel."""
    return causal_conv1d_triton
