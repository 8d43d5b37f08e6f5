"""A frame out of two warped ones and what a model says of it in patches: a band of rows at a time.

A graph that turns patches into pixels and mixes pictures takes its time over memory. Here a few rows go
through all of it at once, in a cache.
"""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np

from .padding import Plane

COLOURS = 3
BAND = 16
"""Rows of patches that are mixed at once."""


class Mixer:
    """Mixes one frame after the other, in the same memory."""

    def __init__(self) -> None:
        self._room = np.empty((0, 0, 0), np.float32)

    def mixed(
        self, residual: Plane, share: Plane, frames: tuple[Plane, Plane], rows: slice
    ) -> Iterator[tuple[Plane, int]]:
        """What some ``rows`` of patches show, a band after the other, with the place of its first row.

        Args:
            residual, share: what is added, and which share the first frame has: (1, 3 n², h, w) and
                (1, n², h, w), patches of n x n pixels.
            frames: both warped, (1, 3, n h, n w).
            rows: of the patches.

        Yields:
            (1, 3, rows, n w), not clipped, which stands until the next one, and its first row of the frames.
        """
        times, width = round(share.shape[1] ** 0.5), frames[0].shape[3]
        room = self._of(COLOURS + 2, BAND * times, width)
        for top in range(rows.start, rows.stop, BAND):
            band = slice(top, min(top + BAND, rows.stop))
            *shown, part, spare = room[:, : (band.stop - band.start) * times]
            shuffle(share[0], band, part)
            for colour, into in enumerate(shown):
                shuffle(residual[0, colour * times**2 : (colour + 1) * times**2], band, into)
                one, other = (frame[0, colour, band.start * times : band.stop * times] for frame in frames)
                cv2.subtract(one, other, spare)
                cv2.multiply(spare, part, spare)
                cv2.add(spare, other, spare)
                cv2.add(into, spare, into)
            yield room[None, :COLOURS, : (band.stop - band.start) * times], band.start * times

    def _of(self, *shape: int) -> Plane:
        if self._room.shape != shape:
            self._room = np.empty(shape, np.float32)
        return self._room


def shuffle(patches: Plane, rows: slice, into: Plane) -> None:
    """Some rows of patches (n², h, w), row by row of a patch, as pixels (n rows, n w)."""
    times = round(len(patches) ** 0.5)
    pixels = into.reshape(-1, times, patches.shape[2], times)
    for row in range(times):
        cv2.merge([one[rows] for one in patches[row * times : (row + 1) * times]], pixels[:, row])
