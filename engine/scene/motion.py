"""How targets and camera moved between two frames, by sparse optical flow: one call for all points.

A target gets a grid of points, where no other target covers it. Lucas and Kanade's method (pyramids: Bouguet
2000) follows them there and back; the median of those that come back is the target's motion, and the share
of them how far it can be believed. Points beside all targets tell of the camera.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ...vision import Image

Grey = npt.NDArray[np.uint8]
Numbers = npt.NDArray[np.float64]
Points = npt.NDArray[np.float32]

_INNER = 0.7  # share of a box's sides that the points are spread over
_CAMERA = (6, 8)  # rows and columns of points that tell of the camera
_STILL = 0.3  # pixels of the grey picture, below which the camera stands
_RETURN = 1.0  # pixels of the grey picture, within which a point must come back
_LEAST = 3  # points
_APART = 0.35  # pixels of the grey picture, from which a point does not go with what is behind the target
_OWN = 0.25  # share of the points, from which those that go their own way are the target
_FLOW: dict[str, Any] = {
    "winSize": (11, 11),
    "maxLevel": 3,
    "criteria": (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 12, 0.02),
    "flags": cv2.OPTFLOW_USE_INITIAL_FLOW,
    "minEigThreshold": 1e-4,
}


@dataclass(frozen=True, slots=True, eq=False)
class Motion:
    """What moved how, in pixels of the frame.

    Attributes:
        moves: (N, 2) of the targets' centres; NaN where nothing is known.
        trust: (N,) share of the points that were followed.
        camera: (2, 3) from places of the frame before; None where it stood still, or nobody knows.
    """

    moves: Numbers
    trust: Numbers
    camera: Numbers | None


def grey_of(image: Image, side: int) -> Grey:
    """The picture that motion is looked for in: (height, width), its longer side ``side`` pixels at most."""
    height, width = image.shape[:2]
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    shrink = side / max(width, height)
    if shrink < 1:
        size = max(1, round(width * shrink)), max(1, round(height * shrink))
        grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(grey, dtype=np.uint8)


def motion_between(
    before: Grey, after: Grey, width: int, boxes: Numbers, expected: Numbers, points: int, camera: bool
) -> Motion:
    """Motion from one grey picture to the next.

    Args:
        before, after: of ``grey_of``.
        width: of the frame, in pixels.
        boxes: (N, 4) of the targets in ``before``, in pixels of the frame.
        expected: (N, 2) how their centres are expected to move.
        points: at most, of all targets together.
        camera: whether to look for its motion.
    """
    if before.shape != after.shape:  # restored with pictures of another size
        before = np.asarray(cv2.resize(before, after.shape[::-1], interpolation=cv2.INTER_AREA), np.uint8)
    count = len(boxes)
    moves, trust, shrink = np.full((count, 2), np.nan), np.zeros(count), before.shape[1] / width
    side = min(max(math.isqrt(points // max(count, 1)), 3), 6)
    starts, there = _grids(boxes, side)
    guesses = starts + np.repeat(expected, side * side, axis=0)
    beside = _beside(before.shape, boxes * shrink) if camera else np.zeros((0, 2))
    begin = np.concatenate([starts * shrink, beside]).astype(np.float32)
    if not len(begin) or min(before.shape) < 16:
        return Motion(moves, trust, None)
    end, good = _followed(before, after, begin, np.concatenate([guesses * shrink, beside]))
    own = side * side
    shape = (count, own, 2)
    first, last = begin[: count * own].reshape(shape), end[: count * own].reshape(shape)
    kept = good[: count * own].reshape(count, own) & there
    lens = _camera(begin[count * own :], end[count * own :], good[count * own :])
    still = first if lens is None else first @ lens[:, :2].T + lens[:, 2]
    for place in range(count):
        use = kept[place]
        own_way = use & (np.hypot(*np.moveaxis(last[place] - still[place], -1, 0)) > _APART)
        if own_way.sum() >= max(_LEAST, _OWN * use.sum()):
            use = own_way  # the others show what is behind the target
        shown = max(int(there[place].sum()), 1)
        if use.sum() < _LEAST:
            continue
        steps = (last[place] - first[place])[use]
        middle = np.median(steps, axis=0)
        near = np.abs(steps - middle).max(axis=1) <= max(1.0, 0.5 * float(np.abs(middle).max()))
        trust[place] = near.sum() / shown
        moves[place] = middle / shrink
    if lens is not None:
        lens[:, 2] /= shrink
    return Motion(moves, trust, lens)


def warped(camera: Numbers, x: float, y: float) -> tuple[float, float]:
    """Where the camera's motion takes a place."""
    (a, b, c), (d, e, f) = camera.tolist()
    return a * x + b * y + c, d * x + e * y + f


def _grids(boxes: Numbers, side: int) -> tuple[Numbers, npt.NDArray[np.bool_]]:
    """Points (N·side², 2) of all boxes, and which of each box's (N, side²) no other box covers."""
    shares = (np.arange(side) + 0.5) / side * _INNER + (1 - _INNER) / 2
    across, down = (one.ravel() for one in np.meshgrid(shares, shares))
    x = boxes[:, :1] + boxes[:, 2:3] * across
    y = boxes[:, 1:2] + boxes[:, 3:] * down
    left, top, w, h = boxes.T
    beyond = (
        (x[..., None] < left) | (x[..., None] > left + w) | (y[..., None] < top) | (y[..., None] > top + h)
    )
    own = np.eye(len(boxes), dtype=bool)[:, None]
    free = np.asarray((beyond | own).all(axis=-1))
    return np.stack([x.ravel(), y.ravel()], axis=1), free


def _beside(shape: tuple[int, ...], boxes: Numbers) -> Numbers:
    """Points of the grey picture beside all boxes."""
    height, width = shape
    rows, columns = _CAMERA
    down = (np.arange(rows) + 0.5) / rows * height
    across = (np.arange(columns) + 0.5) / columns * width
    found = np.stack([one.ravel() for one in np.meshgrid(across, down)], axis=1)
    for left, top, w, h in boxes:
        inside = (found >= (left, top)) & (found <= (left + w, top + h))
        found = found[~inside.all(axis=1)]
    return found


def _followed(
    before: Grey, after: Grey, begin: Points, guess: Numbers
) -> tuple[Points, npt.NDArray[np.bool_]]:
    """Where points go, and which of them come back."""
    height, width = before.shape
    first = guess.astype(np.float32).reshape(-1, 1, 2)
    end, there, _ = cv2.calcOpticalFlowPyrLK(before, after, begin.reshape(-1, 1, 2), first, **_FLOW)
    back, again, _ = cv2.calcOpticalFlowPyrLK(after, before, end, begin.reshape(-1, 1, 2).copy(), **_FLOW)
    end, back = end.reshape(-1, 2), back.reshape(-1, 2)
    good = (there.ravel() > 0) & (again.ravel() > 0) & np.isfinite(end).all(axis=1)
    good &= np.hypot(*(back - begin).T) <= _RETURN
    good &= (end >= 0).all(axis=1) & (end < (width, height)).all(axis=1)
    return np.asarray(end), np.asarray(good)


def _camera(begin: Points, end: Points, good: npt.NDArray[np.bool_]) -> Numbers | None:
    """(2, 3), in pixels of the grey picture."""
    if good.sum() < 8 or np.abs(np.median((end - begin)[good], axis=0)).max() < _STILL:
        return None
    found, _ = cv2.estimateAffinePartial2D(begin[good], end[good], ransacReprojThreshold=2.0)
    if found is None or not np.isfinite(found).all():
        return None
    return np.asarray(found, np.float64)
