"""Causal depthwise convolution over a whole chunk at once. Glossary: see ``reference``."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from ..precision import in_float32
from .reference import check_shapes


@partial(in_float32, keeps_inputs=True)
def causal_conv1d_chunked(
    x: Tensor, weight: Tensor, bias: Tensor | None = None, state: Tensor | None = None, *, silu: bool = True
) -> tuple[Tensor, Tensor]:
    """Same arguments and results as ``causal_conv1d_reference``."""
    check_shapes(x, weight, bias, state)
    batch, time, channels = x.shape
    taps = weight.shape[1]
    history = x.new_zeros(batch, taps - 1, channels) if state is None else state.transpose(1, 2)
    padded = torch.cat([history, x], dim=1)  # (B, K - 1 + T, D)
    # A sum of shifted products: depthwise conv1d falls to a slow path on CPUs, and K is small.
    y = padded[:, taps - 1 :] * weight[:, taps - 1]
    for tap in range(taps - 1):
        y = y + padded[:, tap : tap + time] * weight[:, tap]
    if bias is not None:
        y = y + bias
    final = padded[:, time:].transpose(1, 2)
    return (functional.silu(y) if silu else y), final
