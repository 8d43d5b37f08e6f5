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
    share = heads // b.shape[2]
    if share > 1:  # every head has its own keys and queries in this operator
        b = b.unsqueeze(3).expand(-1, -1, -1, share, -1)
        c = c.unsqueeze(3).expand(-1, -1, -1, share, -1)
    q = c.reshape(batch, time, heads * states)
    k = b.reshape(batch, time, heads * states)
    v = (x * dt.unsqueeze(-1)).reshape(batch, time, heads * channels)
    if state is None:
        state = x.new_zeros(batch, heads, states, channels)
    y, final = linear_attention(q, k, v, state, a * dt, heads=heads)
    return y.reshape(batch, time, heads, channels), final
