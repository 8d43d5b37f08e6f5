"""Where a lost target is looked for beside where it was last seen: the rest of the frame, place by place."""

from __future__ import annotations

import math

import numpy as np

from ...vision import Box

STEP = 2.5
"""Between two places, in units of the target's extent (the root of its area): less than a search crop."""
MOST_PLACES = 1000
"""Of one tour; tiny targets in large frames are looked for with gaps, or a tour would last for minutes."""


def place(box: Box, frame_size: tuple[int, int], look: int) -> Box:
    """The box to look around at the ``look``-th time: the nearest place first, and again after all of them.

    Args:
        box: where the target was last seen.
        frame_size: width and height in pixels.
        look: from 0.
    """
    width, height = frame_size
    step = max(STEP * math.sqrt(box.w * box.h), math.sqrt(width * height / MOST_PLACES))
    columns, rows = (max(1, math.ceil(side / step)) for side in frame_size)
    xs, ys = np.meshgrid(
        (np.arange(columns) + 0.5) * width / columns, (np.arange(rows) + 0.5) * height / rows, indexing="ij"
    )
    cx, cy = box.centre
    order = np.argsort(np.square(xs - cx).ravel() + np.square(ys - cy).ravel(), kind="stable")
    chosen = order[look % order.size]
    return Box.from_centre(float(xs.flat[chosen]), float(ys.flat[chosen]), box.w, box.h)
