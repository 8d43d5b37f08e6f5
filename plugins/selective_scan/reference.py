"""The Mamba-1 recurrence, written as its equation: slow, exact, the oracle of every other form.

Source: Gu and Dao, "Mamba: Linear-Time Sequence Modeling with Selective State Spaces", section 3.

Glossary (paper symbol -> name here)
    x  -> x       (B, T, D)  inputs, one a channel
    Δ  -> dt      (B, T, D)  step sizes, positive (after softplus)
    A  -> a       (D, N)     decay rates, negative
    B  -> b       (B, T, N)  input projections, shared by all channels
    C  -> c       (B, T, N)  output projections, shared by all channels
    h  -> state   (B, D, N)  the recurrent state
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..precision import in_float32


def check_shapes(x: Tensor, dt: Tensor, a: Tensor, b: Tensor, c: Tensor, state: Tensor | None) -> None:
    """Raises ValueError, naming the tensor, its shape and the shape that fits."""
    if x.dim() != 3:
        raise ValueError(f"x has shape {tuple(x.shape)}; it must be (batch, time, channels)")
    if a.dim() != 2:
        raise ValueError(f"a has shape {tuple(a.shape)}; it must be (channels, states)")
    batch, time, channels = x.shape
    states = a.shape[1]
    expected = {
        "dt": (dt, (batch, time, channels)),
        "a": (a, (channels, states)),
        "b": (b, (batch, time, states)),
        "c": (c, (batch, time, states)),
    }
    if state is not None:
        expected["state"] = (state, (batch, channels, states))
    for name, (tensor, shape) in expected.items():
        if tuple(tensor.shape) != shape:
            raise ValueError(
                f"{name} has shape {tuple(tensor.shape)}; with x {tuple(x.shape)} it must be {shape}"
            )


@in_float32
def selective_scan_reference(
    x: Tensor, dt: Tensor, a: Tensor, b: Tensor, c: Tensor, state: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Runs the recurrence one step at a time.

    For each channel: ``h_t = exp(Δ_t a) ∘ h_{t-1} + (Δ_t x_t) b_t`` and ``y_t = c_tᵀ h_t``.

    Args: shapes as in the module's glossary; ``state`` None means zeros.
    Returns: y (B, T, D) and the final state (B, D, N).
    """
    check_shapes(x, dt, a, b, c, state)
    batch, time, channels = x.shape
    h = x.new_zeros(batch, channels, a.shape[1]) if state is None else state
    ys = []
    for t in range(time):
        decay = torch.exp(dt[:, t, :, None] * a)  # (B, D, N)
        h = decay * h + (dt[:, t] * x[:, t])[:, :, None] * b[:, t, None, :]
        ys.append((h * c[:, t, None, :]).sum(-1))  # (B, D)
    y = torch.stack(ys, dim=1) if ys else x.new_zeros(x.shape)
    return y, h
