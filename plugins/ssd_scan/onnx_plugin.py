"""The Mamba-2 scan as one node, ``framestate::SsdScan`` version 1, for runtimes that are given its kernel.

Inputs, in order, of one floating-point type except the state, which is float32 beside half precision:
    x (B, T, H, P), dt (B, T, H), a (H,), b (B, T, G, N), c (B, T, G, N), past_state (B, H, N, P)
Outputs: y (B, T, H, P) like x, present_state (B, H, N, P) like past_state. No attributes.
"""

from __future__ import annotations

from torch import Tensor

from ..onnx_ops import PLUGIN, emit
from ..precision import wide_type
from .reference import check_shapes


def ssd_scan_plugin(
    x: Tensor, dt: Tensor, a: Tensor, b: Tensor, c: Tensor, state: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Same arguments and results as ``ssd_scan_reference``; only under ``torch.onnx.export``."""
    check_shapes(x, dt, a, b, c, state)
    if state is None:
        state = x.new_zeros(x.shape[0], x.shape[2], b.shape[3], x.shape[3], dtype=wide_type({x.dtype}))
    y, final = emit(PLUGIN, "SsdScan", (x, dt, a, b, c, state), {}, (x, state))
    return y, final
