"""The Mamba-1 scan as one node, ``framestate::SelectiveScan`` version 1, for runtimes given its kernel.

Inputs, in order, of one floating-point type except the state, which is float32 beside half precision:
    x (B, T, D), dt (B, T, D), a (D, N), b (B, T, N), c (B, T, N), past_state (B, D, N)
Outputs: y (B, T, D) like x, present_state (B, D, N) like past_state. No attributes.
"""

from __future__ import annotations

from torch import Tensor

from ..onnx_ops import PLUGIN, emit
from ..precision import wide_type
from .reference import check_shapes


def selective_scan_plugin(
    x: Tensor, dt: Tensor, a: Tensor, b: Tensor, c: Tensor, state: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Same arguments and results as ``selective_scan_reference``; only under ``torch.onnx.export``."""
    check_shapes(x, dt, a, b, c, state)
    if state is None:
        state = x.new_zeros(x.shape[0], *a.shape, dtype=wide_type({x.dtype}))
    y, final = emit(PLUGIN, "SelectiveScan", (x, dt, a, b, c, state), {}, (x, state))
    return y, final
