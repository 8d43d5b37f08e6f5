"""From the head's maps to one measured box. Pure geometry.

Glossary
    score (G, G), offset (2, G, G) in cells, size (2, G, G) as shares of the crop's side,
    log_variance (4, G, G) of centre x, centre y, width, height relative to the target's size
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ...vision import Box, SquareCrop

Array = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Measurement:
    """A box in image pixels, its raw score, and standard deviations (4,) of cx, cy, w, h in pixels."""

    box: Box
    score: float
    std: npt.NDArray[np.float64]


def hann_window(grid: int) -> Array:
    """(G, G) Hann window with its top in the middle; the outermost cells keep a little."""
    line = np.hanning(grid + 2)[1:-1]
    window = np.outer(line, line).astype(np.float32)
    return window


def change_penalty(size: Array, previous: tuple[float, float], strength: float) -> Array:
    """(G, G) factors in (0, 1]: small where size or shape differ much from the previous ones (SiamRPN, section 4.3).

    ``size`` and ``previous`` are shares of the crop's side.
    """

    def spread(ratio: Array) -> Array:
        return np.maximum(ratio, 1 / ratio)

    width, height = np.maximum(size, 1e-3)
    before_w, before_h = max(previous[0], 1e-3), max(previous[1], 1e-3)
    scale = spread(np.sqrt(width * height) / np.float32((before_w * before_h) ** 0.5))
    shape = spread((width / height) / np.float32(before_w / before_h))
    return np.exp(-strength * (scale * shape - 1))


def decode(
    maps: dict[str, Array], crop: SquareCrop, previous: Box, *, hann: Array, window: float, change: float
) -> Measurement:
    """Picks a cell and reads the box there.

    Args:
        maps: one session's maps, without the batch dimension.
        crop: the search crop that the maps belong to.
        previous: the box believed before this frame, in image pixels.
        hann: the window over the grid, see ``hann_window``.
        window, change: see ``TrackingOptions``.
    """
    score = maps["score"][0]
    grid = score.shape[0]
    before = (previous.w / crop.side, previous.h / crop.side)
    preference = score * change_penalty(maps["size"], before, change)
    preference = preference * (1 - window) + hann * window
    row, column = divmod(int(preference.argmax()), grid)
    cell = crop.size / grid
    width, height = (float(share) * crop.size for share in maps["size"][:, row, column])
    cx = (column + 0.5 + float(maps["offset"][0, row, column])) * cell
    cy = (row + 0.5 + float(maps["offset"][1, row, column])) * cell
    box = crop.to_image(Box.from_centre(cx, cy, width, height))
    relative = np.exp(0.5 * maps["log_variance"][:, row, column].astype(np.float64))
    std = relative * np.array([box.w, box.h, box.w, box.h])
    return Measurement(box, float(score[row, column]), std)
