"""Masked segment sums: the logarithm of a decay from one step to a later one, exact beside any large step.

Differences of one cumulative sum would be cheaper, but after one step of -1e6 float32 keeps of every later
difference less than one digit. Here each sum holds the steps between its ends and no other.
Source: Mamba-2's own ``segsum`` (state-spaces/mamba, ``mamba_ssm/modules/ssd_minimal.py``).
"""

from __future__ import annotations

import torch
from torch import Tensor

Triangle = tuple[Tensor, Tensor]

ALL = -1e30
"""A decay's logarithm from which nothing is left, in float32 and float64, however often it is added up."""


def triangle(length: int, like: Tensor) -> Triangle:
    """The masks of ``segment_sums`` for up to ``length`` steps: 1 below the diagonal, and -inf above it."""
    after = like.new_ones(length, length).tril_(-1)
    return after, like.new_full((length, length), -torch.inf).triu_(1)


def segment_sums(log_decay: Tensor, masks: Triangle) -> Tensor:
    """(..., L) -> (..., L, L): at row t and column s the sum of the steps s + 1 to t, -inf where s > t.

    A step of -inf forgets everything; it counts as ``ALL``, since -inf x 0 is no number. The gradient is
    exact too: it adds up what crosses a step, and takes no differences either.
    """
    length = log_decay.shape[-1]
    after, future = (mask[:length, :length] for mask in masks)
    wide = (
        log_decay.clamp(min=ALL).contiguous().unsqueeze(-1)
    )  # of a transposed tensor sums take twice as long
    return (wide * after).cumsum_(-2).add_(future)
