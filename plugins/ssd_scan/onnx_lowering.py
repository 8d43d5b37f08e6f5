"""The Mamba-2 scan as the stateful ``LinearAttention`` (see ``onnx_ops``), emitted while a model is exported.

The scan is gated linear attention with q = c, k = b, v = Δ x and g = a Δ.
"""

from __future__ import annotations

from torch import Tensor

from ..onnx_ops import linear_attention
from ..precision import in_float32
from .reference import check_shapes


@in_float32
def ssd_scan_linear_attention(
    x: Tensor, dt: Tensor, a: Tensor, b: Tensor, c: Tensor, state: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Same arguments and results as ``ssd_scan_reference``; only for use under ``torch.onnx.export``."""
    check_shapes(x, dt, a, b, c, state)
    batch, time, heads, channels = x.shape
    states = b.shape[-1]
    groups = b.shape[2]
    q = c.reshape(batch, time, groups * states)
    k = b.reshape(batch, time, groups * states)
    v = (x * dt.unsqueeze(-1)).reshape(batch, time, heads * channels)
    if state is None:
        state = x.new_zeros(batch, heads, states, channels)
    y, final = linear_attention(q, k, v, state, a * dt, heads=heads, key_heads=groups)
    return y.reshape(batch, time, heads, channels), final
