"""The GPU kernels that an operator may be given, best first, and which of them work here.

Optional packages are imported in this module's functions only, when a set of operators is built.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

TABLE = (
    ("selective_scan", "triton", ".selective_scan.triton_kernel"),
    ("selective_scan", "mamba-ssm", ".selective_scan.mamba_ssm_kernel"),
    ("ssd_scan", "triton", ".ssd_scan.triton_kernel"),
    ("ssd_scan", "mamba-ssm", ".ssd_scan.mamba_ssm_kernel"),
    ("mlstm_scan", "triton", ".mlstm_scan.triton_kernel"),
    ("causal_conv1d", "triton", ".causal_conv1d.triton_kernel"),
    ("causal_conv1d", "causal-conv1d", ".causal_conv1d.upstream_kernel"),
)
"""Operator, name of the kernel, and the module whose ``load()`` gives it or raises. Best first.

Our own come first: they keep float32's digits, where products of ``mamba-ssm`` are TF32, and read and write
rows of resident memory in place.
"""
OWN = "triton"


def rows_of(operator: str, upstream: bool = False) -> list[tuple[str, str, str]]:
    """The rows of one operator, best first; ``upstream`` puts those of others before our own."""
    rows = [row for row in TABLE if row[0] == operator]
    return sorted(rows, key=lambda row: (row[1] == OWN) == upstream)


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
    return tuple(find_kernel(*row) for row in TABLE)
