"""The diagonal recurrence on a GPU: one program a few channels, whose states stay in registers.

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
    "x": "*T", "log_decay": "*T", "phase": "*T", "past": "*fp32", "y": "*T", "final": "*fp32",
    "time": "i32", "channels": "i32",
}  # fmt: skip
WARPS = 1


@triton.jit  # type: ignore[untyped-decorator]
def diagonal_scan_kernel(
    x: tl.tensor,
    log_decay: tl.tensor,
    phase: tl.tensor,
    past: tl.tensor,
    y: tl.tensor,
    final: tl.tensor,
    time: tl.tensor,
    channels: tl.tensor,
    read: tl.tensor,
    write: tl.tensor,
    PAIRS: tl.constexpr,
    BLOCK_D: tl.constexpr,
) -> None:
    """Grid (batch, tiles of channels). ``read`` and ``write``: see ``triton_launch``."""
    batch = tl.program_id(0).to(tl.int64)
    d = tl.program_id(1) * BLOCK_D + tl.arange(0, BLOCK_D)
    inside = d < channels
    source = row_of(read, batch)
    at_past = (source * channels + d) * (2 if PAIRS else 1)
    h = tl.load(past + at_past, inside & (source >= 0), 0.0)
    turned = tl.zeros([BLOCK_D], tl.float32)
    if PAIRS:
        turned = tl.load(past + at_past + 1, inside & (source >= 0), 0.0)
    for t in range(time):
        at = (batch * time + t) * channels + d
        size = tl.exp(tl.load(log_decay + at, inside, 0.0).to(tl.float32))
        if PAIRS:
            angle = tl.load(phase + at, inside, 0.0).to(tl.float32)
            across, along = size * tl.sin(angle), size * tl.cos(angle)
            pushed = tl.load(x + 2 * at, inside, 0.0).to(tl.float32)
            real = along * h - across * turned + pushed
            turned = along * turned + across * h + tl.load(x + 2 * at + 1, inside, 0.0).to(tl.float32)
            h = real
            tl.store(y + 2 * at, h.to(y.dtype.element_ty), inside)
            tl.store(y + 2 * at + 1, turned.to(y.dtype.element_ty), inside)
        else:
            h = size * h + tl.load(x + at, inside, 0.0).to(tl.float32)
            tl.store(y + at, h.to(y.dtype.element_ty), inside)
    target = row_of(write, batch)
    if write is not None:
        tl.debug_barrier()  # the rows may be those that were read: all of this program's reading comes first
    at_final = (target * channels + d) * (2 if PAIRS else 1)
    tl.store(final + at_final, h, inside & (target >= 0))
    if PAIRS:
        tl.store(final + at_final + 1, turned, inside & (target >= 0))


def blocks(channels: int) -> dict[str, int]:
    """The tile of one program."""
    return {"BLOCK_D": block(channels, most=64)}


def diagonal_scan_triton(
    x: Tensor,
    log_decay: Tensor,
    state: State = None,
    *,
    phase: Tensor | None = None,
    into: StateRows | None = None,
) -> tuple[Tensor, Tensor | StateRows]:
    """Same arguments and results as ``diagonal_scan_reference``, without gradients.

    x, log_decay, phase: float32, bfloat16 or float16; y has x's type, the final state is float32.
    ``state`` may be ``StateRows``: rows of resident memory, read where they lie. With ``into``, the final
    state goes to rows instead of new memory, and those are returned; they may be the rows that are read.
    Raises ValueError, RuntimeError.
    """
    past, read = split(state)
    check_shapes(x, log_decay, None if read is not None else past, phase)
    check_launch("diagonal_scan", x, log_decay, phase, past)
    batch, time, channels = x.shape[:3]
    like = x.new_empty(batch, channels, *x.shape[3:], dtype=torch.float32, device="meta")
    check_rows("diagonal_scan", like, state, into)
    past = torch.zeros_like(like, device=x.device) if past is None else past
    x, log_decay = contiguous(x, log_decay.expand(x.shape[:3]))
    angles = log_decay if phase is None else contiguous(phase.expand(x.shape[:3]))[0]
    (past,) = contiguous(past, dtype=torch.float32)
    y, (final, write) = torch.empty_like(x), final_state(like, x.device, into)
    tile = blocks(channels)
    with torch.cuda.device_of(x):
        diagonal_scan_kernel[(batch, triton.cdiv(channels, tile["BLOCK_D"]))](
            x,
            log_decay,
            angles,
            past,
            y,
            final,
            time,
            channels,
            read,
            write,
            PAIRS=phase is not None,
            **tile,
            num_warps=WARPS,
            num_stages=1,
        )
    return y, final if into is None else into


def load() -> Callable[..., tuple[Tensor, Tensor | StateRows]]:
    """The operator as this kernel."""
    return diagonal_scan_triton
