"""One set of operators, chosen once when a model is built, never tested for in the hot path."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from .causal_conv1d import causal_conv1d_chunked, causal_conv1d_reference, causal_conv1d_with_state
from .ssd_scan import ssd_scan_chunked, ssd_scan_linear_attention, ssd_scan_reference

Scan = Callable[..., tuple[Tensor, Tensor]]


@dataclass(frozen=True)
class Operators:
    """The operators that a model calls. All take an initial state (or None) and return the final one."""

    name: str
    ssd_scan: Scan
    causal_conv1d: Scan


def reference_operators() -> Operators:
    """Step by step, as the equations: for checks in float64."""
    return Operators("reference", ssd_scan_reference, causal_conv1d_reference)


def eager_operators() -> Operators:
    """The chunked PyTorch forms: what training and the eager runtime use."""
    return Operators("chunked", ssd_scan_chunked, causal_conv1d_chunked)


def onnxruntime_operators() -> Operators:
    """ONNX Runtime's own stateful operators; only for models that are being exported."""
    return Operators("ort", ssd_scan_linear_attention, causal_conv1d_with_state)
