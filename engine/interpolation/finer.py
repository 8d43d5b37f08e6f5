"""A flow found on a smaller frame, made finer: each place goes where both frames are most alike.

Enlarging a flow smears it over the edges of what moves. So beside the flow that is enlarged at a place those
of its four coarse neighbours are tried there, and one of them is taken where both frames agree clearly better
along it. Standing still is tried, too, for what lies still over a moving picture; it has to be better by far.
What tells is grey pictures of half the size on which the flow was found.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ...vision import Image
from ...vision.motion import SHRINK, grey_of
from .padding import Plane

Sight = npt.NDArray[np.float32]
"""A frame as places are compared in: grey (height, width), levels up to 255."""
CORNERS = ((1, 1), (1, -1), (-1, 1), (-1, -1))
AROUND = 3
"""Places of a side of the square over which frames are compared."""
LEAST, SHARE = 0.7, 0.1
"""By how many levels, and by which share, a neighbour's flow must be better to be taken."""
STILL, TIMES = 2.0, 4.0
"""So many levels more, and so many times as much, two frames count as unlike where nothing is moved."""


def sight_of(image: Image) -> Sight:
    """What is kept of the smaller frame, RGB (height, width, 3) of 8 or 16 bits."""
    return grey_of(image).astype(np.float32)


def finer(flow: Plane, first: Sight, second: Sight) -> Plane:
    """A flow from the smaller frames' grid onto that of their sights.

    Args:
        flow: (1, 4, h, w), x and y to the first frame, then to the second, in pixels of the smaller frames.
        first, second: of both frames, (H, W), a whole number of times (h, w).

    Returns:
        (1, 4, H, W), in the same pixels.
    """
    height, width = first.shape
    grow = width // flow.shape[3]
    grid = np.empty((height, width, 2), np.float32)
    grid[..., 0], grid[..., 1] = np.arange(width), np.arange(height)[:, None]
    around = []
    for side in (flow[0, :2], flow[0, 2:]):
        moved = cv2.resize(np.ascontiguousarray(side.transpose(1, 2, 0)), (width, height))
        around.append(cv2.copyMakeBorder(moved / SHRINK, grow, grow, grow, grow, cv2.BORDER_REPLICATE))

    def beside(down: int, across: int) -> list[Any]:
        rows = slice(grow + down * grow, grow + down * grow + height)
        columns = slice(grow + across * grow, grow + across * grow + width)
        return [one[rows, columns] for one in around]

    chosen = [one.copy() for one in beside(0, 0)]
    best = _unlikeness(*_fetched((first, second), chosen, grid)) * (1 - SHARE) - LEAST
    for corner in (*CORNERS, None):
        if corner is None:
            tried = [np.zeros_like(one) for one in chosen]
            found = _unlikeness(first, second) * TIMES + STILL
        else:
            tried = beside(*corner)
            found = _unlikeness(*_fetched((first, second), tried, grid))
        is_better: Any = cv2.compare(found, best, cv2.CMP_LT)
        for one, into in zip((found, *tried), (best, *chosen), strict=True):
            cv2.copyTo(one, is_better, into)
    planes = np.empty((1, 2 * len(chosen), height, width), np.float32)
    cv2.mixChannels(chosen, list(planes[0]), [place for index in range(4) for place in (index, index)])
    return np.multiply(planes, SHRINK, out=planes)


def _fetched(
    frames: tuple[Sight, Sight], flows: list[npt.NDArray[np.float32]], grid: npt.NDArray[np.float32]
) -> list[Sight]:
    """Two frames, each fetched along its flow (h, w, 2)."""
    nothing: Any = None  # in place of a second table
    return [
        np.asarray(
            cv2.remap(frame, cv2.add(flow, grid), nothing, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE),
            np.float32,
        )
        for frame, flow in zip(frames, flows, strict=True)
    ]


def _unlikeness(one: Sight, other: Sight) -> Sight:
    """How much two pictures differ around each place, in levels."""
    return np.asarray(cv2.blur(cv2.absdiff(one, other), (AROUND, AROUND)), np.float32)
