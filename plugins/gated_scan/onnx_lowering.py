"""The gated memory as the stateful ``LinearAttention`` (see ``onnx_ops``), emitted while a model is exported.

Without ``a`` and ``b`` it is that operator itself, with a decay for each key. Its delta rules erase by the
key that they write, which RWKV-7 does not: with ``a`` and ``b`` the graph has the chunks of plain operators.
"""

from __future__ import annotations

from torch import Tensor

from ..onnx_ops import linear_attention
from ..precision import in_float32
from .chunked import gated_scan_chunked
from .reference import check_shapes


@in_float32
def gated_scan_linear_attention(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    log_decay: Tensor,
    state: Tensor | None = None,
    *,
    a: Tensor | None = None,
    b: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Same arguments and results as ``gated_scan_reference``; only under ``torch.onnx.export``."""
    check_shapes(q, k, v, log_decay, state, a, b)
    if a is not None:
        return gated_scan_chunked(q, k, v, log_decay, state, a=a, b=b)
    batch, time, heads, keys = q.shape
    if state is None:
        state = q.new_zeros(batch, heads, keys, v.shape[3])
    flat_q, flat_k, flat_v, gates = (tensor.reshape(batch, time, -1) for tensor in (q, k, v, log_decay))
    y, final = linear_attention(flat_q, flat_k, flat_v, state, gates, heads=heads)
    return y.reshape(v.shape), final
