"""Causal convolution as one node, ``framestate::CausalConv1d`` version 1, for runtimes given its kernel.

Inputs, in order, all of one floating-point type:
    x (B, T, D), weight (D, K), bias (D,), past_state (B, D, K - 1)
Outputs: y (B, T, D) like x, present_state (B, D, K - 1) like past_state.
Attributes: silu (int), 1 to apply x · sigmoid(x) to the output and 0 not to.
"""

from __future__ import annotations

from torch import Tensor

from ..onnx_ops import PLUGIN, emit
from .reference import check_shapes


def causal_conv1d_plugin(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, state: Tensor | None = None, *, silu: bool = True
) -> tuple[Tensor, Tensor]:
    """Same arguments and results as ``causal_conv1d_reference``; only for use under ``torch.onnx.export``."""
    check_shapes(x, weight, bias, state)
    channels, taps = weight.shape
    if bias is None:
        bias = x.new_zeros(channels)
    if state is None:
        state = x.new_zeros(x.shape[0], channels, taps - 1)
    y, final = emit(PLUGIN, "CausalConv1d", (x, weight, bias, state), {"silu": int(silu)}, (x, state))
    return y, final
