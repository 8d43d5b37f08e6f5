"""Causal convolution as ONNX Runtime's ``com.microsoft::CausalConvWithState``, emitted during export.

ONNX Runtime has it from 1.26 on (CPU and CUDA); it fuses SiLU and keeps K - 1 columns of state, as we do.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .reference import check_shapes

DOMAIN = "com.microsoft"


def causal_conv1d_with_state(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, state: Tensor | None = None, *, silu: bool = True
) -> tuple[Tensor, Tensor]:
    """Same arguments and results as ``causal_conv1d_reference``; only for use under ``torch.onnx.export``."""
    check_shapes(x, weight, bias, state)
    channels, taps = weight.shape
    by_channel = x.transpose(1, 2)  # (B, D, T), the operator's layout
    if state is None:
        state = x.new_zeros(x.shape[0], channels, taps - 1)
    if bias is None:
        bias = x.new_zeros(channels)
    y, final = torch.onnx.ops.symbolic_multi_out(
        f"{DOMAIN}::CausalConvWithState",
        (by_channel, weight.unsqueeze(1), bias, state),
        attrs={"activation": "silu" if silu else "none", "ndim": 1},
        dtypes=(x.dtype, x.dtype),
        shapes=(by_channel.shape, state.shape),
        version=1,
    )
    return y.transpose(1, 2), final
