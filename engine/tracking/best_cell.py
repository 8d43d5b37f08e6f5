"""Which cell of a head's maps to believe: a high score, near the middle, of a size like that before.

What a cell is worth is ``score · penalty · (1 - window) + window · hann``; the penalty is in (0, 1]. So the
score alone bounds it, and most cells are out of the question before any penalty is worked out. NumPy costs
microseconds a call on so few numbers, most of all after a model has used the caches.
"""

from __future__ import annotations

import math

import numpy as np

from .measurement import Array
from .options import TrackingOptions

LEAST_SIDE = 1e-3
"""Sizes are held above this, in the unit in which they come."""
SLACK = 1e-5
"""Beyond which two worths differ for certain, of float32 scores up to 1; ten times what rounding can do."""
MOST_RIVALS = 8
"""Cells that are looked at one by one; beyond, all of them at once are sooner."""


def hann_window(grid: int) -> Array:
    """(G, G) Hann window with its top in the middle; the outermost cells keep a little."""
    line = np.hanning(grid + 2)[1:-1]
    return np.outer(line, line).astype(np.float32)


def change_penalty(sides: Array, before: tuple[float, float], strength: float) -> Array:
    """Factors in (0, 1], small where size or shape differ much from those before (SiamRPN, section 4.3).

    ``sides`` (2, G, G) are width and height in the unit of ``before``; strength 0 gives ones (G, G).
    """
    sides = np.maximum(sides, np.float32(LEAST_SIDE))
    before_w, before_h = (max(side, LEAST_SIDE) for side in before)
    pad = (before_w + before_h) / 2
    extent, shape = (before_w + pad) * (before_h + pad), before_w / before_h
    context = (sides[0] + sides[1]) * np.float32(0.5)  # what a Siamese crop leaves around a box
    padded = sides + context
    squares = np.empty_like(sides)  # of the ratios of extent and of shape, now to before
    np.multiply(padded[0], padded[1] * np.float32(1 / extent), out=squares[0])
    np.square(sides[0] / sides[1] * np.float32(1 / shape), out=squares[1])
    apart = np.maximum(squares, 1 / squares)
    penalty: Array = np.exp(np.float32(strength) * (1 - np.sqrt(apart[0] * apart[1])))
    return penalty


class BestCell:
    """Picks a cell of maps of one size.

    Args:
        grid: G, the maps' side in cells.
        options: weight of the window, and strength of the penalty.
    """

    def __init__(self, grid: int, options: TrackingOptions) -> None:
        self._grid, self._options = grid, options
        self._window = hann_window(grid) * np.float32(options.window)
        self._slack = SLACK * max(1.0, options.change)

    def __call__(self, score: Array, sides: Array, before: tuple[float, float]) -> tuple[int, int]:
        """Row and column of the cell that is worth most, by maps (G, G) and (2, G, G).

        ``before`` are the width and height that were believed before, in the unit of ``sides``.
        """
        found = self._among_few(score, sides, before)
        if found is None:
            penalty = change_penalty(sides, before, self._options.change)
            found = int((score * penalty * (1 - self._options.window) + self._window).argmax())
        return divmod(found, self._grid)

    def _among_few(self, score: Array, sides: Array, before: tuple[float, float]) -> int | None:
        """The same cell, if it is worth more than all others beyond doubt; None where that is not sure."""
        if self._options.change < 0:  # the penalty is a gain
            return None
        bound = score * (1 - self._options.window)
        bound += self._window
        first = int(bound.argmax())
        rows = bound.reshape(-1)
        slack = self._slack * max(1.0, rows[first].item())
        least = self._worth(first, score, sides, before) - slack
        if least <= self._options.window:  # a score below 0 is worth more than its bound
            return None
        rivals = (rows >= least).nonzero()[0].tolist()
        if len(rivals) == 1:
            return first
        if len(rivals) > MOST_RIVALS:
            return None
        ranked = sorted((self._worth(cell, score, sides, before), cell) for cell in rivals)
        return ranked[-1][1] if ranked[-1][0] - ranked[-2][0] > slack else None

    def _worth(self, cell: int, score: Array, sides: Array, before: tuple[float, float]) -> float:
        """What one cell is worth, in float64."""
        o, (row, column) = self._options, divmod(cell, self._grid)
        width, height = sides[:, row, column].tolist()
        width, height = max(width, LEAST_SIDE), max(height, LEAST_SIDE)
        before_w, before_h = max(before[0], LEAST_SIDE), max(before[1], LEAST_SIDE)
        pad, pad_before = (width + height) / 2, (before_w + before_h) / 2
        extent = (width + pad) * (height + pad) / ((before_w + pad_before) * (before_h + pad_before))
        shape = (width / height * (before_h / before_w)) ** 2
        apart = max(extent, 1 / extent) * max(shape, 1 / shape)
        penalty = math.exp(o.change * (1 - math.sqrt(apart)))
        own: float = score[row, column].item()
        preferred: float = self._window[row, column].item()
        return own * penalty * (1 - o.window) + preferred
