"""The GPU kernels that an operator may be given, best first, and which of them work here.

Optional packages are imported in this module's functions only, when a set of operators is built.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from .forms import FORMS

OWN = "triton"
"""Our own kernels keep float32's digits, where products of ``mamba-ssm`` are TF32, and read and write rows of
resident memory in place."""


def rows_of(kernels: Sequence[tuple[str, str]], upstream: bool = False) -> list[tuple[str, str]]:
    """Kernels of one operator, best first: our own, or with ``upstream`` those of others."""
    return sorted(kernels, key=lambda row: (row[0] == OWN) == upstream)


@dataclass(frozen=True)
class Kernel:
    """A kernel of an operator: ``call`` where it works here, else ``why_not`` says why it does not."""

    operator: str
    name: str
    call: Callable[..., Any] | None
    why_not: str | None


def find_kernel(operator: str, name: str, module: str) -> Kernel:
    """Tries to load one row of the table."""
    if not torch.cuda.is_available():
        return Kernel(operator, name, None, "PyTorch finds no CUDA device")
    try:
        call = importlib.import_module(module, __package__).load()
    except Exception as error:  # a build that does not fit PyTorch or the driver raises all sorts of errors
        lines = str(error).strip().splitlines() or [type(error).__name__]
        return Kernel(operator, name, None, lines[0])
    return Kernel(operator, name, call, None)


def kernels() -> tuple[Kernel, ...]:
    """Every row of the table, tried: what ``framestate doctor`` reports."""
    return tuple(find_kernel(row.operator, *kernel) for row in FORMS for kernel in row.kernels)
