"""The Mamba-2 scan as ONNX Runtime's ``com.microsoft::LinearAttention``, emitted while a model is exported.

With ``update_rule="gated"`` the operator computes ``S_t = exp(g_t) S_{t-1} + k_t ⊗ v_t`` and
``o_t = q_tᵀ S_t``; the scan is that with q = c, k = b, v = Δ x and g = a Δ. ONNX Runtime has it from 1.26 on (CPU and CUDA).
"""

from __future__ import annotations

import torch
from torch import Tensor

from .reference import check_shapes

DOMAIN = "com.microsoft"
MIN_ONNXRUNTIME = (1, 26)


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
    y, final = torch.onnx.ops.symbolic_multi_out(
        f"{DOMAIN}::LinearAttention",
        (q, k, v, state, a * dt),
        attrs={"update_rule": "gated", "scale": 1.0, "q_num_heads": heads, "kv_num_heads": heads},
        dtypes=(x.dtype, x.dtype),
        shapes=(v.shape, state.shape),
        version=1,
    )
    return y.reshape(batch, time, heads, channels), final
