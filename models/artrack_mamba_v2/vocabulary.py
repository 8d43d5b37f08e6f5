"""Coordinates as words and back, for training; ``engine.tracking.trajectory`` does the same in NumPy.

Boxes are left, top, right, bottom as shares of the search crop's side.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .config import ArtrackMambaV2Config


def to_words(boxes: Tensor, config: ArtrackMambaV2Config) -> Tensor:
    """Shares (..., 4) -> words (..., 4) int64; what lies beyond the vocabulary is moved to its edge."""
    low = 0.5 - config.span / 2
    shares = boxes.double().clamp(low, low + config.span)
    return ((shares - low) * (config.bins - 1)).long()


def expected(logits: Tensor, config: ArtrackMambaV2Config) -> Tensor:
    """Logits (B, 4, places) -> the expectation of each coordinate (B, 4)."""
    low = 0.5 - config.span / 2
    centres = low + (torch.arange(config.places, device=logits.device) + 0.5) / config.bins
    return logits.softmax(-1) @ centres.to(logits.dtype)


def read_boxes(logits: Tensor, config: ArtrackMambaV2Config) -> Tensor:
    """Logits (B, 4, places) -> boxes (B, 4), the mean of the likeliest word and the expectation."""
    hard = (logits.argmax(-1).to(logits.dtype) + 0.5) / (config.bins - 1) + 0.5 - config.span / 2
    return (hard + expected(logits, config)) / 2
