"""Causal convolution on a GPU: one program a tile of steps and channels. Glossary: see ``reference``."""

from __future__ import annotations

from collections.abc import Callable

import torch
import triton
from torch import Tensor
from triton import language as tl

from ..triton_launch import block, check_launch, contiguous
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
    TAPS: tl.constexpr,
    SILU: tl.constexpr,
    BLOCK_T: tl.constexpr,
    BLOCK_D: tl.constexpr,
) -> None:
    """Grid (batch, tiles of steps, tiles of channels)."""
    batch = tl.program_id(0).to(tl.int64)
    t = tl.program_id(1) * BLOCK_T + tl.arange(0, BLOCK_T)
    d = tl.program_id(2) * BLOCK_D + tl.arange(0, BLOCK_D)
    inside = d < channels
    x += batch * time * channels
    y += batch * time * channels
    past += batch * channels * (TAPS - 1)
    final += batch * channels * (TAPS - 1)
    total = tl.zeros([BLOCK_T, BLOCK_D], tl.float32)
    total += tl.load(bias + d, inside, 0.0).to(tl.float32)[None, :]
    for tap in tl.static_range(TAPS):
        source = t - (TAPS - 1) + tap  # the step that this tap reads; before 0 it is in the past state
        from_x = (source >= 0)[:, None] & (source < time)[:, None] & inside[None, :]
        from_past = (source < 0)[:, None] & inside[None, :]
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
            older = inside & (step < 0)
            last += tl.load(past + d * (TAPS - 1) + kept + time, older, 0.0).to(tl.float32)
            tl.store(final + d * (TAPS - 1) + kept, last.to(final.dtype.element_ty), inside)


def blocks(time: int, channels: int) -> dict[str, int]:
    """The tile of one program."""
    return {"BLOCK_T": block(time, most=8), "BLOCK_D": block(channels, most=64)}


def causal_conv1d_triton(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, state: Tensor | None = None, *, silu: bool = True
) -> tuple[Tensor, Tensor]:
    """Same arguments and results as ``causal_conv1d_reference``, without gradients.

    x, weight, bias and state: contiguous, float32, bfloat16 or float16. What is not is copied first. y has
    x's type, and so should the state, which holds inputs.
    Raises ValueError, RuntimeError.
    """
    check_shapes(x, weight, bias, state)
    check_launch("causal_conv1d", x, weight, bias, state)
    batch, time, channels = x.shape
    taps = weight.shape[1]
    bias = x.new_zeros(channels) if bias is None else bias
    past = x.new_zeros(batch, channels, taps - 1) if state is None else state
    x, weight, bias, past = contiguous(x, weight, bias, past)
    y, final = torch.empty_like(x), torch.empty_like(past)
    tile = blocks(time, channels)
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
            TAPS=taps,
            SILU=silu,
            **tile,
            num_warps=WARPS,
            num_stages=1,
        )
    return y, final


def load() -> Callable[..., tuple[Tensor, Tensor]]:
    """The operator as this kernel."""
    return causal_conv1d_triton
