"""Large frames in tiles without seams: neighbours overlap, and fade into one another where they do.

The weights of all tiles sum to 1 in every pixel, so what all tiles agree on comes out as it is, and what they
see differently (near a tile's edge a model knows less of what moves in from outside) changes smoothly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Weights = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Span:
    """One tile along one axis: from ``start`` to ``stop``, fading over ``before`` and ``after`` pixels."""

    start: int
    stop: int
    before: int
    after: int

    def weights(self) -> Weights:
        """One weight a pixel: rising over the overlap before, falling over the one after, 1 in between."""
        weights = np.ones(self.stop - self.start, np.float32)
        if self.before:
            weights[: self.before] = _ramp(self.before)
        if self.after:
            weights[-self.after :] *= 1 - _ramp(self.after)
        return weights


@dataclass(frozen=True, slots=True)
class Tile:
    """A rectangle of the frame with its place and its fading on each side."""

    rows: Span
    columns: Span

    @property
    def area(self) -> tuple[slice, slice]:
        """Where in the frame it lies."""
        return slice(self.rows.start, self.rows.stop), slice(self.columns.start, self.columns.stop)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width."""
        return self.rows.stop - self.rows.start, self.columns.stop - self.columns.start

    def weights(self) -> Weights:
        """(height, width, 1), the product of both axes."""
        return (self.rows.weights()[:, None] * self.columns.weights()[None])[..., None]


def plan(height: int, width: int, *, multiple: int, most: int, overlap: int) -> tuple[Tile, ...]:
    """Tiles of nearly one size that cover the frame, as few as will do.

    Args:
        height, width: of the frame, in pixels.
        multiple: what the sides of a padded tile are multiples of; tiles start on it too, so that a tile sees
            the grid of its model where the whole frame would.
        most: pixels of a padded tile, at most, as far as ``overlap`` leaves any choice.
        overlap: pixels that neighbours share, at least.
    """
    tallest = _counts(height, multiple, overlap)
    widest = _counts(width, multiple, overlap)
    best: tuple[int, int, int, int] | None = None
    for down in range(1, tallest + 1):
        for across in range(1, widest + 1):
            area = _side(height, down, multiple, overlap) * _side(width, across, multiple, overlap)
            rank = (max(area, most), down * across, area, down)
            best = rank if best is None else min(best, rank)
            if area <= most:
                break  # more columns would only be more tiles
    assert best is not None, "one tile is always possible"
    down, across = best[3], best[1] // best[3]
    rows, columns = spans(height, down, multiple, overlap), spans(width, across, multiple, overlap)
    return tuple(Tile(row, column) for row in rows for column in columns)


def spans(length: int, count: int, multiple: int, overlap: int) -> tuple[Span, ...]:
    """``count`` spans that cover ``length``: equal shares, each reaching over into its neighbours."""
    reach = _reach(multiple, overlap)
    borders = [round(place * length / count / multiple) * multiple for place in range(1, count)]
    starts = [0, *(border - reach for border in borders)]
    stops = [*(border + reach for border in borders), length]
    shared = [0, *([2 * reach] * (count - 1)), 0]
    return tuple(
        Span(start, stop, before, after)
        for start, stop, before, after in zip(starts, stops, shared[:-1], shared[1:], strict=True)
    )


def _reach(multiple: int, overlap: int) -> int:
    """How far a tile goes over its share on each side."""
    return -(-overlap // (2 * multiple)) * multiple


def _counts(length: int, multiple: int, overlap: int) -> int:
    """Spans of a length at most: each keeps pixels to itself, so that never three tiles meet."""
    return max(1, length // (2 * _reach(multiple, overlap) + 2 * multiple))


def _side(length: int, count: int, multiple: int, overlap: int) -> int:
    """The longest padded span."""
    return max(
        -(-(span.stop - span.start) // multiple) * multiple
        for span in spans(length, count, multiple, overlap)
    )


def _ramp(length: int) -> Weights:
    """Rising from just above 0 to just below 1; with its own mirror image it sums to 1 everywhere."""
    places = (np.arange(length, dtype=np.float32) + 0.5) / length
    return (0.5 - 0.5 * np.cos(np.pi * places)).astype(np.float32)
