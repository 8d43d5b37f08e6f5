"""Duplicate frames: two neighbouring frames that show the same, apart from what a codec does to it.

Compared at full size: a cursor that moves on a still screen is no duplicate. The thresholds were chosen on
the training clips, each frame stored twice by H.264 at CRF 18 and 28: the two differ by up to 0.9 levels on
average, in the worst block of 16 x 16 by up to 5 (CRF 18) and 10 (CRF 28).
Slow scenes move by 5 and more, so the bound is 4, and a duplicate that a coarse codec has spoilt is
interpolated like any other frame.

Faint things that move (clouds, smoke, a dim room) differ as little as that. What a codec does has nothing to
do with where the picture's edges lie; what motion does is the edges times a speed. So the speed that explains
most of the difference is looked for in each block of 32 x 32, as Lucas and Kanade do. It explains 95 % and
more of faint motion of 1 px a frame, and less than 10 % of what H.264 leaves of duplicates at CRF 18 and 28.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from enum import Enum

import cv2
import numpy as np
import numpy.typing as npt

from ...vision import Frame, Image
from ...vision.pixels import as_uint8, in_eight_bits

_BLOCK = 16
_MOST_MEAN, _MOST_BLOCK = 0.9, 4.0  # levels of 255
_SPEED_BLOCK, _SMOOTH = 32, 1.5  # pixels
_EXPLAINED, _LEAST_SPEED, _LEAST_ENERGY = 0.5, 0.2, 0.02  # share, pixels a frame, squared levels
_MOST_MOVING = 0.02  # share of the blocks


MOST_REPEATS = 3
"""Frames in a row that may repeat one, as animation does that is drawn on fours."""


class Sameness(Enum):
    """How two frames compare."""

    DIFFERENT = "different"
    DUPLICATE = "duplicate"
    IDENTICAL = "identical"


def compare(one: Image, other: Image) -> Sameness:
    """Whether ``other`` repeats ``one``; both RGB (height, width, 3) of one size."""
    if one is other:
        return Sameness.IDENTICAL
    is_identical = one.dtype.itemsize > 1 and np.array_equal(one, other)
    one, other = in_eight_bits(one), in_eight_bits(other)
    difference = cv2.absdiff(one, other)
    if max(cv2.mean(difference)) > _MOST_MEAN:
        return Sameness.DIFFERENT
    height, width = one.shape[:2]
    blocks = (-(-width // _BLOCK), -(-height // _BLOCK))
    means = cv2.resize(difference, blocks, interpolation=cv2.INTER_AREA)
    if float(np.max(means)) > _MOST_BLOCK:
        return Sameness.DIFFERENT
    if is_identical or not difference.any():
        return Sameness.IDENTICAL
    return Sameness.DIFFERENT if share_moving(one, other) > _MOST_MOVING else Sameness.DUPLICATE


def between_alike(one: Image, other: Image, sameness: Sameness, part: float) -> Image:
    """What is shown ``part`` of the way from a frame to one that repeats it: the frame, or a mix of both.

    Where the two differ, by what a codec did, their mix has less of it than either.
    """
    if sameness is Sameness.IDENTICAL:
        return one
    return as_uint8(cv2.addWeighted(one, 1 - part, other, part, 0))


def share_moving(one: Image, other: Image) -> float:
    """The share of blocks whose difference is one of motion; both RGB uint8 of one size."""
    first, second = (_smooth(image) for image in (one, other))
    mean, change = (first + second) / 2, second - first
    across, down = (cv2.Sobel(mean, cv2.CV_32F, *order, ksize=3, scale=1 / 8) for order in ((1, 0), (0, 1)))
    height, width = mean.shape
    size = max(1, width // _SPEED_BLOCK), max(1, height // _SPEED_BLOCK)
    xx, xy, yy, xt, yt, tt = (
        cv2.resize(product, size, interpolation=cv2.INTER_AREA)
        for product in (
            across * across, across * down, down * down, across * change, down * change, change * change
        )
    )  # fmt: skip
    scale = np.maximum(xx * yy - xy * xy, 1e-6)
    speed_x, speed_y = (xy * yt - yy * xt) / scale, (xy * xt - xx * yt) / scale
    explained = -(speed_x * xt + speed_y * yt) / np.maximum(tt, 1e-6)
    is_moving = (explained > _EXPLAINED) & (np.hypot(speed_x, speed_y) > _LEAST_SPEED) & (tt > _LEAST_ENERGY)
    return float(is_moving.mean())


def _smooth(image: Image) -> npt.NDArray[np.float32]:
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return np.asarray(cv2.GaussianBlur(grey, (0, 0), _SMOOTH), np.float32)


def unique(frames: Iterable[Frame], on_dropped: Callable[[Frame], None]) -> Iterator[Frame]:
    """Frames without those that repeat the one before, for animation on twos and for telecine.

    After `MOST_REPEATS` in a row the next one stays: a picture that stands still is meant to.
    """
    last: Frame | None = None
    repeats = 0
    for frame in frames:
        is_same = last is not None and compare(last.image, frame.image) is not Sameness.DIFFERENT
        if is_same and repeats < MOST_REPEATS:
            repeats += 1
            on_dropped(frame)
            continue
        last, repeats = frame, 0
        yield frame
