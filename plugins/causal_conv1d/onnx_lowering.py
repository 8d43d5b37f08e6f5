"""Causal convolution as the stateful ``CausalConvWithState`` (see ``onnx_ops``), emitted during export.

The operator fuses SiLU and keeps K - 1 columns of state, as we do.
"""

from __future__ import annotations

from torch import Tensor

from ..onnx_ops import causal_conv
from .reference import check_shapes


def causal_conv1d_with_state(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, state: Tensor | None = None, *, silu: bool = True
) -> tuple[Tensor, Tensor]:
    """Same arguments and results as ``causal_conv1d_reference``; only for use under ``torch.onnx.export``."""
    check_shapes(x, weight, bias, state)
    channels, taps = weight.shape
    if state is None:
        state = x.new_zeros(x.shape[0], channels, taps - 1)
    if bias is None:
        bias = x.new_zeros(channels)
    y, final = causal_conv(x.transpose(1, 2), weight.unsqueeze(1), bias, state, silu=silu)
    return y.transpose(1, 2), final
