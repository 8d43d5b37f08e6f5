"""One set of operators, chosen once when a model is built, never tested for in the hot path."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar, cast

from torch import Tensor

from .causal_conv1d import (
    causal_conv1d_chunked,
    causal_conv1d_plugin,
    causal_conv1d_portable,
    causal_conv1d_reference,
    causal_conv1d_with_state,
)
from .kernels import find_kernel, rows_of
from .mlstm_scan import (
    MlstmState,
    mlstm_scan_chunked,
    mlstm_scan_linear_attention,
    mlstm_scan_plugin,
    mlstm_scan_portable,
    mlstm_scan_reference,
)
from .selective_scan import (
    selective_scan_chunked,
    selective_scan_linear_attention,
    selective_scan_plugin,
    selective_scan_portable,
    selective_scan_reference,
)
from .ssd_scan import (
    ssd_scan_chunked,
    ssd_scan_linear_attention,
    ssd_scan_plugin,
    ssd_scan_portable,
    ssd_scan_reference,
)

Scan = Callable[..., tuple[Tensor, Tensor]]
MlstmScan = Callable[..., tuple[Tensor, MlstmState]]
AnyScan = TypeVar("AnyScan", bound=Callable[..., Any])
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
    chosen: tuple[Choice, ...] = ()
    """What was chosen on a GPU; empty where there was nothing to choose."""


def reference_operators() -> Operators:
    """Step by step, as the equations: for checks in float64."""
    return Operators(
        "reference",
        ssd_scan_reference,
        causal_conv1d_reference,
        selective_scan_reference,
        mlstm_scan_reference,
    )


def eager_operators(device: str = "cpu", *, upstream: bool = False) -> Operators:
    """What the eager runtime and training use; ``device`` is "cpu" or "cuda", with or without an index.

    On a CPU: the chunked PyTorch forms, which have gradients and work on any device; training uses them on
    GPUs too. On CUDA: for each operator the first kernel that works here, for inference; else a PyTorch form.
    ``upstream`` tries ``mamba-ssm`` and ``causal-conv1d`` before our own kernels.
    """
    if device.partition(":")[0] != "cuda":
        return Operators(
            "chunked", ssd_scan_chunked, causal_conv1d_chunked, selective_scan_chunked, mlstm_scan_chunked
        )
    ssd, ssd_choice = _choose("ssd_scan", "chunked", ssd_scan_chunked, upstream)
    conv, conv_choice = _choose("causal_conv1d", "chunked", causal_conv1d_chunked, upstream)
    # One kernel launch a step would be the cost of the chunked form; the blocks take 2 √T.
    selective, selective_choice = _choose("selective_scan", "blocks", selective_scan_portable, upstream)
    mlstm, mlstm_choice = _choose("mlstm_scan", "chunked", mlstm_scan_chunked, upstream)
    chosen = (ssd_choice, conv_choice, selective_choice, mlstm_choice)
    name = "+".join(sorted({choice.form for choice in chosen}))
    return Operators(name, ssd, conv, selective, mlstm, chosen)


def onnx_operators(dialect: Dialect = "ort") -> Operators:
    """For a model that is being exported; ``dialect`` names the operators its graph may use.

    ``"ort"``: ONNX Runtime's own stateful operators. ``"portable"``: plain ONNX of opset 20.
    ``"plugin"``: one node an operator in domain ``framestate``, for runtimes that are given kernels for them.
    Raises ValueError for another name.
    """
    if dialect == "ort":
        return Operators(
            "ort",
            ssd_scan_linear_attention,
            causal_conv1d_with_state,
            selective_scan_linear_attention,
            mlstm_scan_linear_attention,
        )
    if dialect == "portable":
        return Operators(
            "portable",
            ssd_scan_portable,
            causal_conv1d_portable,
            selective_scan_portable,
            mlstm_scan_portable,
        )
    if dialect == "plugin":
        return Operators(
            "plugin", ssd_scan_plugin, causal_conv1d_plugin, selective_scan_plugin, mlstm_scan_plugin
        )
    raise ValueError(f"the dialect {dialect!r} is unknown; it must be 'ort', 'portable' or 'plugin'")


def onnxruntime_operators() -> Operators:
    """``onnx_operators("ort")``: ONNX Runtime's own stateful operators."""
    return onnx_operators("ort")


def _choose(operator: str, fallback_name: str, fallback: AnyScan, upstream: bool) -> tuple[AnyScan, Choice]:
    """The first kernel of the table that works here, else the fallback."""
    passed_over: list[str] = []
    for row in rows_of(operator, upstream):
        kernel = find_kernel(*row)
        if kernel.call is not None:
            return cast("AnyScan", kernel.call), Choice(operator, kernel.name, tuple(passed_over))
        passed_over.append(f"{kernel.name}: {kernel.why_not}")
    return fallback, Choice(operator, fallback_name, tuple(passed_over))
