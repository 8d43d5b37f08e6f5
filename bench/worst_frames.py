"""Where made frames are worst: a sheet of patches, what is real beside what each method made."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from ..errors import DataError
from ..vision.draw import contact_sheet
from ..vision.pixels import Image, as_uint8
from .perception import PATCH, patch_errors

ROWS = 8
AROUND = 48
"""Pixels around a patch that are shown, too."""
SHOWN = 3
"""How many times as large a patch is shown."""

Look = Callable[[int, Image, Image, Image, Image], None]
"""Is shown a made frame: its place in the clip, the frame, the real one, and its seen neighbours."""


@dataclass(frozen=True, slots=True)
class _Worst:
    """The worst patch of the watched method in one clip."""

    error: float
    place: int
    top: int
    left: int
    pictures: tuple[Image, ...]


class WorstFrames:
    """Finds the worst patch of each clip as an evaluation goes, and what others made there.

    Args:
        watched: the method whose worst patches are looked for; it has to run before the others.
    """

    def __init__(self, watched: str) -> None:
        self._watched = watched
        self._worst: dict[str, _Worst] = {}
        self._made: dict[str, dict[str, Image]] = {}

    def looker(self, method: str, clip: str) -> Look:
        """What is called with every frame that ``method`` makes of ``clip``."""

        def look(place: int, made: Image, real: Image, first: Image, second: Image) -> None:
            if method != self._watched:
                worst = self._worst.get(clip)
                if worst is not None and worst.place == place:
                    self._made.setdefault(clip, {})[method] = _cut(made, worst.top, worst.left)
                return
            found = patch_errors(made, real)
            if clip in self._worst and found.most <= self._worst[clip].error:
                return
            cuts = tuple(_cut(image, found.top, found.left) for image in (first, second, real))
            self._worst[clip] = _Worst(found.most, place, found.top, found.left, cuts)
            self._made[clip] = {method: _cut(made, found.top, found.left)}

        return look

    def sheet(self, rows: int = ROWS) -> Image:
        """The worst patches, a row each: both neighbours, the real frame, then what each method made.

        Raises DataError: no frame was made.
        """
        ranked = sorted(self._worst.items(), key=lambda item: -item[1].error)[:rows]
        if not ranked:
            raise DataError("No frame was made, so none is the worst", "Evaluate clips that can be read.")
        methods = list(dict.fromkeys(name for clip, _ in ranked for name in self._made[clip]))
        images: list[Image] = []
        titles: list[str] = []
        for clip, worst in ranked:
            made = [self._made[clip].get(name) for name in methods]
            nothing = np.zeros_like(worst.pictures[0])
            images += [*worst.pictures, *(nothing if one is None else one for one in made)]
            titles += [f"{clip} #{worst.place}: before", "after", "real"]
            titles += [
                name if one is not None else f"{name}: failed"
                for name, one in zip(methods, made, strict=True)
            ]
        return contact_sheet(images, 3 + len(methods), titles, cell_width=2 * (PATCH + 2 * AROUND))


def _cut(image: Image, top: int, left: int) -> Image:
    """The patch and what is around it, at the picture's edge with the edge repeated, enlarged."""
    around = cv2.copyMakeBorder(image, AROUND, AROUND, AROUND, AROUND, cv2.BORDER_REPLICATE)
    side = PATCH + 2 * AROUND
    part = around[top : top + side, left : left + side]
    return as_uint8(cv2.resize(part, None, fx=SHOWN, fy=SHOWN, interpolation=cv2.INTER_CUBIC))
