"""Causal depthwise convolution over time with carried state: slow, exact, the oracle of every other form.

Glossary
    x       (B, T, D)     inputs of D channels
    weight  (D, K)        taps a channel, the last one for the current step
    bias    (D,)          or None
    state   (B, D, K - 1) the last K - 1 inputs before x, oldest first
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from ..precision import in_float32


def check_shapes(x: Tensor, weight: Tensor, bias: Tensor | None, state: Tensor | None) -> None:
    """Raises ValueError, naming the tensor, its shape and the shape that fits."""
    if x.dim() != 3:
        raise ValueError(f"x has shape {tuple(x.shape)}; it must be (batch, time, channels)")
    batch, _, channels = x.shape
    if weight.dim() != 2 or weight.shape[0] != channels:
        raise ValueError(
            f"weight has shape {tuple(weight.shape)}; with x {tuple(x.shape)} it must be ({channels}, taps)"
        )
    if bias is not None and tuple(bias.shape) != (channels,):
        raise ValueError(
            f"bias has shape {tuple(bias.shape)}; with x {tuple(x.shape)} it must be ({channels},)"
        )
    fits = (batch, channels, weight.shape[1] - 1)
    if state is not None and tuple(state.shape) != fits:
        raise ValueError(f"state has shape {tuple(state.shape)}; with x {tuple(x.shape)} it must be {fits}")


@partial(in_float32, keeps_inputs=True)
def causal_conv1d_reference(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, state: Tensor | None = None, *, silu: bool = True
) -> tuple[Tensor, Tensor]:
    """Convolves one step at a time: ``y_t = act(bias + Σ_j weight_j · x_{t-K+1+j})``.

    Returns: y (B, T, D) and the final state (B, D, K - 1).
    """
    check_shapes(x, weight, bias, state)
    batch, time, channels = x.shape
    taps = weight.shape[1]
    window = x.new_zeros(batch, channels, taps - 1) if state is None else state
    ys = []
    for t in range(time):
        window = torch.cat([window, x[:, t, :, None]], dim=-1)  # (B, D, K)
        y = (window * weight).sum(-1)
        ys.append(y if bias is None else y + bias)
        window = window[..., 1:]
    out = torch.stack(ys, dim=1) if ys else x.new_zeros(x.shape)
    return (out * torch.sigmoid(out) if silu else out), window
