"""What the launchers of the Triton kernels share, and how a kernel is compiled where there is no GPU.

Every kernel takes contiguous tensors: inputs in float32, bfloat16 or float16, states in float32. It computes
and accumulates in float32, reads the past state, and writes the final one to memory of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import triton
from torch import Tensor
from triton.backends.compiler import GPUTarget

from .gradients import refuse_gradients

DTYPES = {torch.float32: "fp32", torch.bfloat16: "bf16", torch.float16: "fp16"}


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
        values of the rest. Pointers are taken to be aligned to 16 bytes, as allocators align them.
    Returns: Triton's compiled kernel; ``.asm["ptx"]`` and, where ptxas is at hand, ``.asm["cubin"]``.
    """
    signature = {name: kind.replace("*T", f"*{dtype}") for name, kind in arguments.items()}
    aligned = {
        (place,): [["tt.divisibility", 16]]
        for place, kind in enumerate(signature.values())
        if kind.startswith("*")
    }
    signature |= dict.fromkeys(constants, "constexpr")
    source = triton.compiler.ASTSource(kernel, signature, dict(constants), aligned)
    return triton.compile(
        source, target=GPUTarget("cuda", capability, 32), options={"num_warps": warps, "num_stages": stages}
    )
