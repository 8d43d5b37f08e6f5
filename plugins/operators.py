"""One set of operators, chosen once when a model is built, never tested for in the hot path."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from torch import Tensor

from .forms import FORMS, Forms
from .kernels import find_kernel, rows_of
from .mlstm_scan import MlstmState

Scan = Callable[..., tuple[Tensor, Tensor]]
MlstmScan = Callable[..., tuple[Tensor, MlstmState]]
Dialect = Literal["ort", "portable", "plugin"]


@dataclass(frozen=True)
class Choice:
    """The form that an operator was given, and why each better one was passed over."""

    operator: str
    form: str
    passed_over: tuple[str, ...] = ()


@dataclass(frozen=True)
class Operators:
    """The operators that a model calls. All take an initial state (or None) and return the final one."""

    name: str
    ssd_scan: Scan
    causal_conv1d: Scan
    selective_scan: Scan
    mlstm_scan: MlstmScan
    diagonal_scan: Scan
    gated_scan: Scan
    chosen: tuple[Choice, ...] = ()
    """What was chosen on a GPU; empty where there was nothing to choose."""

    def each(self, change: Callable[[str], Callable[..., Any]]) -> Operators:
        """The same set, each operator replaced by what ``change`` makes of its name."""
        changed: dict[str, Any] = {row.operator: change(row.operator) for row in FORMS}
        return replace(self, **changed)


def reference_operators() -> Operators:
    """Step by step, as the equations: for checks in float64."""
    return _all("reference", "reference")


def eager_operators(device: str = "cpu", *, upstream: bool = False) -> Operators:
    """What the eager runtime and training use; ``device`` is "cpu" or "cuda", with or without an index.

    On a CPU: the chunked PyTorch forms, which have gradients and work on any device; training uses them on
    GPUs too. On CUDA: for each operator the first kernel that works here, for inference; else a PyTorch form.
    ``upstream`` tries ``mamba-ssm`` and ``causal-conv1d`` before our own kernels.
    """
    if device.partition(":")[0] != "cuda":
        return _all("chunked", "chunked")
    found = {row.operator: _choose(row, upstream) for row in FORMS}
    chosen = tuple(choice for _, choice in found.values())
    name = "+".join(sorted({choice.form for choice in chosen}))
    return Operators(name, **{operator: form for operator, (form, _) in found.items()}, chosen=chosen)


def onnx_operators(dialect: Dialect = "ort") -> Operators:
    """For a model that is being exported; ``dialect`` names the operators its graph may use.

    ``"ort"``: ONNX Runtime's own stateful operators. ``"portable"``: plain ONNX of opset 20.
    ``"plugin"``: one node an operator in domain ``framestate``, for runtimes that are given kernels for them;
    plain ONNX for the operators without one.
    Raises ValueError for another name.
    """
    if dialect not in get_args(Dialect):
        raise ValueError(f"the dialect {dialect!r} is unknown; it must be 'ort', 'portable' or 'plugin'")
    return _all(dialect, dialect)


def onnxruntime_operators() -> Operators:
    """``onnx_operators("ort")``: ONNX Runtime's own stateful operators."""
    return onnx_operators("ort")


def _all(name: str, form: str) -> Operators:
    """Every operator in the form of one column of the table."""
    columns: dict[str, Any] = {row.operator: getattr(row, form) for row in FORMS}
    return Operators(name, **columns)


def _choose(row: Forms, upstream: bool) -> tuple[Any, Choice]:
    """The first kernel of a row that works here, else its fallback."""
    passed_over: list[str] = []
    for name, module in rows_of(row.kernels, upstream):
        kernel = find_kernel(row.operator, name, module)
        if kernel.call is not None:
            return kernel.call, Choice(row.operator, kernel.name, tuple(passed_over))
        passed_over.append(f"{kernel.name}: {kernel.why_not}")
    name, fallback = row.fallback
    return fallback, Choice(row.operator, name, tuple(passed_over))
