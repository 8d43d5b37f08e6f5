"""The Mamba-1 scan as the stateful ``LinearAttention`` (see ``onnx_ops``), emitted while a model is exported.

Every channel is a head of its own with N keys, one value, and a decay for each key: q = c and k = b, which
all of them share, v = Δ x and g = Δ a.
"""

from __future__ import annotations

from torch import Tensor

from ..onnx_ops import linear_attention
from ..precision import in_float32
from .reference import check_shapes


@in_float32
def selective_scan_linear_attention(
    x: Tensor, dt: Tensor, a: Tensor, b: Tensor, c: Tensor, state: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Same arguments and results as ``selective_scan_reference``; only under ``torch.onnx.export``."""
    check_shapes(x, dt, a, b, c, state)
    batch, time, channels = x.shape
    states = a.shape[1]
    log_decay = (dt.unsqueeze(-1) * a).reshape(batch, time, channels * states)
    if state is None:
        state = x.new_zeros(batch, channels, states)
    y, final = linear_attention(c, b, dt * x, state.unsqueeze(-1), log_decay, heads=channels, key_heads=1)
    return y, final.squeeze(-1)
