"""The Mamba-2 (SSD) recurrence, written as its equation: slow, exact, the oracle of every other form.

Source: Dao and Gu, "Transformers are SSMs", section 2 (scalar decay a head).

Glossary (paper symbol -> name here)
    X  -> x       (B, T, H, P)  inputs of H heads with P channels each
    Δ  -> dt      (B, T, H)     step sizes, positive (after softplus)
    A  -> a       (H,)          decay rates, negative
    B  -> b       (B, T, G, N)  input projections, G groups shared by H / G heads each
    C  -> c       (B, T, G, N)  output projections
    h  -> state   (B, H, N, P)  the recurrent state
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..precision import in_float32


def check_shapes(x: Tensor, dt: Tensor, a: Tensor, b: Tensor, c: Tensor, state: Tensor | None) -> None:
    """Raises ValueError, naming the tensor, its shape and the shape that fits."""
    if x.dim() != 4:
        raise ValueError(f"x has shape {tuple(x.shape)}; it must be (batch, time, heads, channels)")
    batch, time, heads, channels = x.shape
    if b.dim() != 4:
        raise ValueError(f"b has shape {tuple(b.shape)}; it must be (batch, time, groups, states)")
    groups, states = b.shape[-2:]
    if groups < 1 or heads % groups:
        raise ValueError(f"b has {groups} groups; the {heads} heads of x must be a multiple of it")
    expected = {
        "dt": (dt, (batch, time, heads)),
        "a": (a, (heads,)),
        "b": (b, (batch, time, groups, states)),
        "c": (c, (batch, time, groups, states)),
    }
    if state is not None:
        expected["state"] = (state, (batch, heads, states, channels))
    for name, (tensor, shape) in expected.items():
        if tuple(tensor.shape) != shape:
            raise ValueError(
                f"{name} has shape {tuple(tensor.shape)}; with x {tuple(x.shape)} it must be {shape}"
            )


@in_float32
def ssd_scan_reference(
    x: Tensor, dt: Tensor, a: Tensor, b: Tensor, c: Tensor, state: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Runs the recurrence one step at a time.

    For each head: ``h_t = exp(a Δ_t) h_{t-1} + b_t ⊗ (Δ_t x_t)`` and ``y_t = c_tᵀ h_t``.

    Args: shapes as in the module's glossary; ``state`` None means zeros.
    Returns: y (B, T, H, P) and the final state (B, H, N, P).
    """
    check_shapes(x, dt, a, b, c, state)
    batch, time, heads, channels = x.shape
    share = heads // b.shape[2]
    b, c = b.repeat_interleave(share, dim=2), c.repeat_interleave(share, dim=2)  # (B, T, H, N)
    h = x.new_zeros(batch, heads, b.shape[-1], channels) if state is None else state
    ys = []
    for t in range(time):
        decay = torch.exp(a * dt[:, t])  # (B, H)
        h = decay[..., None, None] * h + b[:, t, :, :, None] * (dt[:, t, :, None] * x[:, t])[:, :, None, :]
        ys.append((c[:, t, :, None, :] @ h).squeeze(2))  # (B, H, P)
    y = torch.stack(ys, dim=1) if ys else x.new_zeros(x.shape)
    return y, h
