"""Causal convolution as the stateful ``CausalConvWithState`` (see ``onnx_ops``), emitted during export.

The operator fuses SiLU and keeps K - 1 columns of state, as we do. It is made for single steps: over many of
them ONNX Runtime's plain depthwise ``Conv`` is quicker (192 channels on one core, 8 steps: 32 against 34 µs;
64: 84 against 50; 256: 310 against 101), so long chunks of a known length are lowered to that.
"""

from __future__ import annotations

from functools import partial

from torch import Tensor

from ..onnx_ops import causal_conv
from ..precision import in_float32
from .onnx_portable import causal_conv1d_portable
from .reference import check_shapes

LONG = 32
"""Steps from which a plain convolution is used."""


@partial(in_float32, keeps_inputs=True)
def causal_conv1d_with_state(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, state: Tensor | None = None, *, silu: bool = True
) -> tuple[Tensor, Tensor]:
    """Same arguments and results as ``causal_conv1d_reference``; only for use under ``torch.onnx.export``."""
    check_shapes(x, weight, bias, state)
    steps = x.shape[1]
    if isinstance(steps, int) and steps >= LONG:  # a length that is left open is no int during export
        return causal_conv1d_portable(x, weight, bias, state, silu=silu)
    channels, taps = weight.shape
    if state is None:
        state = x.new_zeros(x.shape[0], channels, taps - 1)
    if bias is None:
        bias = x.new_zeros(channels)
    y, final = causal_conv(x.transpose(1, 2), weight.unsqueeze(1), bias, state, silu=silu)
    return y.transpose(1, 2), final
