"""A diagonal linear recurrence, written as its equation: slow, exact, the oracle of every other form.

Real: minGRU, minLSTM, leaky memories. Complex: LRU (Orvieto et al., "Resurrecting Recurrent Neural Networks
for Long Sequences") and S5 (Smith et al., "Simplified State Space Layers"). See ``recurrences`` for each of
them.

Glossary
    x          (B, T, D), or (B, T, D, 2)  inputs; complex ones are pairs of real and imaginary part
    log_decay  (B, T, D) or (D,)           logarithm of each decay's magnitude, not positive in what forgets
    phase      like log_decay, or None     angle of each decay, radians; None where the recurrence is real
    state, h   (B, D), or (B, D, 2)        the recurrent state; the outputs are all of them, shaped like x

States of bundles are real, and so is ONNX: hence pairs in place of complex tensors (``torch.view_as_real``).
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..precision import in_float32


def check_shapes(x: Tensor, log_decay: Tensor, state: Tensor | None, phase: Tensor | None) -> None:
    """Raises ValueError, naming the tensor, its shape and the shape that fits."""
    pair = () if phase is None else (2,)
    if x.dim() != 3 + len(pair) or tuple(x.shape[3:]) != pair:
        fits = (
            "(batch, time, channels)" if phase is None else "(batch, time, channels, 2), since phase is given"
        )
        raise ValueError(f"x has shape {tuple(x.shape)}; it must be {fits}")
    batch, time, channels = x.shape[:3]
    for name, tensor in (("log_decay", log_decay), ("phase", phase)):
        if tensor is not None and tuple(tensor.shape) not in ((batch, time, channels), (channels,)):
            raise ValueError(
                f"{name} has shape {tuple(tensor.shape)}; with x {tuple(x.shape)} it must be "
                f"{(batch, time, channels)}, or {(channels,)} where it is constant"
            )
    if state is not None and tuple(state.shape) != (batch, channels, *pair):
        raise ValueError(
            f"state has shape {tuple(state.shape)}; "
            f"with x {tuple(x.shape)} it must be {(batch, channels, *pair)}"
        )


def decays(log_decay: Tensor, phase: Tensor | None) -> Tensor:
    """e^(log_decay + i phase): shaped like ``log_decay``, with pairs behind where there is a phase."""
    size = torch.exp(log_decay)
    return size if phase is None else torch.stack([size * torch.cos(phase), size * torch.sin(phase)], dim=-1)


def times(one: Tensor, other: Tensor, pairs: bool) -> Tensor:
    """The product, number by number; of complex numbers where they are pairs."""
    if not pairs:
        return one * other
    (a, b), (c, d) = one.unbind(-1), other.unbind(-1)
    return torch.stack([a * c - b * d, a * d + b * c], dim=-1)


@in_float32
def diagonal_scan_reference(
    x: Tensor, log_decay: Tensor, state: Tensor | None = None, *, phase: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Runs the recurrence one step at a time: ``h_t = e^(log_decay_t + i phase_t) h_{t-1} + x_t``.

    Args: shapes as in the module's glossary; ``state`` None means zeros.
    Returns: every h, shaped like x, and the last one.
    """
    check_shapes(x, log_decay, state, phase)
    pairs = phase is not None
    decay = decays(log_decay, phase).expand(x.shape)
    h = torch.zeros_like(x[:, 0] if x.shape[1] else x.sum(1)) if state is None else state
    hs = []
    for t in range(x.shape[1]):
        h = times(decay[:, t], h, pairs) + x[:, t]
        hs.append(h)
    return (torch.stack(hs, dim=1) if hs else x.new_zeros(x.shape)), h
