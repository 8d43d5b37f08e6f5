"""Duplicate frames: two neighbouring frames that show the same, apart from what a codec does to it.

Compared at full size: a cursor that moves on a still screen is no duplicate. The thresholds were chosen on
the training clips, each frame stored twice by H.264 at CRF 18 and 28: the two differ by up to 0.9 levels on
average, in the worst block of 16 x 16 by up to 5 (CRF 18) and 10 (CRF 28).
Slow scenes move by 5 and more, so the bound is 4: what is taken for a duplicate is so alike that repeating it
costs nothing that shows, and a duplicate that a coarse codec has spoilt is interpolated like any other frame.
"""

from __future__ import annotations

from enum import Enum

import cv2
import numpy as np

from ...vision import Image

_BLOCK = 16
_MOST_MEAN, _MOST_BLOCK = 0.9, 4.0  # levels of 255


class Sameness(Enum):
    """How two frames compare."""

    DIFFERENT = "different"
    DUPLICATE = "duplicate"
    IDENTICAL = "identical"


def compare(one: Image, other: Image) -> Sameness:
    """Whether ``other`` repeats ``one``; both RGB uint8 (height, width, 3) of one size."""
    if one is other:
        return Sameness.IDENTICAL
    difference = cv2.absdiff(one, other)
    if max(cv2.mean(difference)) > _MOST_MEAN:
        return Sameness.DIFFERENT
    height, width = one.shape[:2]
    blocks = (-(-width // _BLOCK), -(-height // _BLOCK))
    means = cv2.resize(difference, blocks, interpolation=cv2.INTER_AREA)
    if float(np.max(means)) > _MOST_BLOCK:
        return Sameness.DIFFERENT
    return Sameness.DUPLICATE if difference.any() else Sameness.IDENTICAL
