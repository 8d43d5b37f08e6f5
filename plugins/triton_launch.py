"""What the launchers of the Triton kernels share, and how a kernel is compiled where there is no GPU.

Every kernel takes contiguous tensors: inputs in float32, bfloat16 or float16, states in float32. It computes
and accumulates in float32, reads the past state, and writes the final one to memory of its own.

States may also lie in resident memory, a row a session: ``read`` and ``write`` are int32 indices (B,) of the
rows that are read and written, or None where the row is the place in the batch. Below 0 there is no row: an
empty state is read, nothing is written.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import triton
from torch import Tensor
from triton import language as tl
from triton.backends.compiler import GPUTarget

from .gradients import refuse_gradients
from .state_rows import StateRows

DTYPES = {torch.float32: "fp32", torch.bfloat16: "bf16", torch.float16: "fp16"}


@triton.jit  # type: ignore[untyped-decorator]
def row_of(index: tl.tensor, batch: tl.tensor) -> tl.tensor:
    """The row of a place in the batch; below 0, there is none."""
    row = batch
    if index is not None:
        row = tl.load(index + batch).to(tl.int64)
    return row


def final_state(like: Tensor, device: torch.device, into: StateRows | None) -> tuple[Tensor, Tensor | None]:
    """Memory of a final state and the index of its rows: new memory shaped ``like``, or that of ``into``."""
    if into is None:
        return torch.empty_like(like, device=device), None
    return into.pool, into.index


def check_launch(operator: str, x: Tensor, *others: Tensor | None) -> None:
    """Raises ValueError for a type the kernels lack, RuntimeError where gradients are wanted."""
    if x.dtype not in DTYPES:
        raise ValueError(
            f"{operator} was given {x.dtype}; its Triton kernel takes float32, bfloat16 and float16, so "
            "cast the inputs or use the chunked form"
        )
    refuse_gradients(f"the Triton kernel of {operator}", x, *others)


def contiguous(*tensors: Tensor, dtype: torch.dtype | None = None) -> list[Tensor]:
    """The tensors, contiguous and of ``dtype``, if given; those that already are come back themselves."""
    return [(tensor if dtype is None else tensor.to(dtype)).contiguous() for tensor in tensors]


def block(size: int, *, least: int = 1, most: int = 1 << 30) -> int:
    """The power of two that holds ``size``, within the limits (powers of two)."""
    return int(min(max(triton.next_power_of_2(size), least), most))


def compile_ahead(
    kernel: Any,
    arguments: Mapping[str, str],
    constants: Mapping[str, Any],
    *,
    capability: int,
    dtype: str = "fp32",
    warps: int = 4,
    stages: int = 1,
) -> Any:
    """Compiles for a GPU that need not be here: ``capability`` 87 is Orin, 90 is H100 and H200.

    Args: ``arguments`` names each argument's type, "*T" for a tensor of type ``dtype``; ``constants`` are the
        values of the rest, None where they are not named. Pointers are taken to be aligned to 16 bytes, as
        allocators align them.
    Returns: Triton's compiled kernel; ``.asm["ptx"]`` and, where ptxas is at hand, ``.asm["cubin"]``.
    """
    signature = {name: kind.replace("*T", f"*{dtype}") for name, kind in arguments.items()}
    aligned = {
        (place,): [["tt.divisibility", 16]]
        for place, kind in enumerate(signature.values())
        if kind.startswith("*")
    }
    given = {name: constants.get(name) for name in kernel.arg_names if name not in signature}
    signature |= dict.fromkeys(given, "constexpr")
    source = triton.compiler.ASTSource(kernel, signature, given, aligned)
    return triton.compile(
        source, target=GPUTarget("cuda", capability, 32), options={"num_warps": warps, "num_stages": stages}
    )
