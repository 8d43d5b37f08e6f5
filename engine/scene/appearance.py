"""What a target looks like in a few numbers: colours of its upper and its lower half."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import cv2
import numpy as np
import numpy.typing as npt

from ...vision import Box, Image
from ..codec import array

HUES, SHADES, PARTS = 9, 2, 2
SIZE = PARTS * (HUES * SHADES + 8)
_COLOURED = 48  # saturation from which a pixel has a hue

Look = npt.NDArray[np.float32]
KeptLook = Annotated[Look, array("float32", None)]
"""(SIZE,), or empty where it was never seen alone."""
UNKNOWN: Look = np.zeros(0, np.float32)


def look_of(image: Image, box: Box) -> Look:
    """The look (SIZE,) of what a box shows, its roots of shares: a dot product is a likeness in [0, 1]."""
    cx, cy = box.centre
    inner = Box.from_centre(cx, cy, 0.7 * box.w, 0.85 * box.h).clipped(image.shape[1], image.shape[0])
    left, top = int(inner.x), int(inner.y)
    right, bottom = max(left + 1, round(inner.x + inner.w)), max(top + 1, round(inner.y + inner.h))
    piece = image[top:bottom, left:right]
    if not piece.size:
        return UNKNOWN
    small = cv2.resize(piece, (12, 24), interpolation=cv2.INTER_AREA)
    hsv = cv2.cvtColor(small, cv2.COLOR_RGB2HSV).astype(np.int64)
    hue, saturation, value = hsv[..., 0], hsv[..., 1], hsv[..., 2]
    coloured = saturation >= _COLOURED
    bins = np.where(
        coloured, hue * HUES // 180 * SHADES + (value >= 128), HUES * SHADES + value // 32
    )  # grey ones by how light they are
    halves = [np.bincount(half.ravel(), minlength=HUES * SHADES + 8) for half in (bins[:12], bins[12:])]
    counts = np.concatenate(halves).astype(np.float32)
    return np.asarray(np.sqrt(counts / counts.sum()), np.float32)


def likeness(one: Look, other: Look) -> float:
    """In [0, 1]; 0.5 where one of them is unknown."""
    if len(one) != len(other) or not len(one):
        return 0.5
    return float(np.dot(one, other))


def likenesses(ones: Sequence[Look], others: Sequence[Look]) -> npt.NDArray[np.float64]:
    """`likeness` of each of ``ones`` (N) and each of ``others`` (M): (N, M)."""
    found = np.full((len(ones), len(others)), 0.5)
    rows = [place for place, one in enumerate(ones) if len(one) == SIZE]
    columns = [place for place, one in enumerate(others) if len(one) == SIZE]
    if rows and columns:
        shared = np.stack([ones[row] for row in rows]) @ np.stack([others[column] for column in columns]).T
        found[np.ix_(rows, columns)] = shared
    return found


def blended(old: Look, new: Look, share: float) -> Look:
    """The old look with a share of the new one."""
    if len(old) != len(new):
        return new
    mixed = np.sqrt((1 - share) * old**2 + share * new**2)
    return np.asarray(mixed / max(float(np.linalg.norm(mixed)), 1e-6), np.float32)
