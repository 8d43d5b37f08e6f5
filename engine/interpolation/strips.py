"""Large frames blended a strip of rows at a time, so that what lies between two steps stays in a cache.

A strip sees some rows more than it shows: as many as a model's second part looks aside. How many these are
is found by trying, once a model. A model that looks further than that, or at all of a frame, blends it whole.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np

from ...bundles import ModelSpec
from ...errors import FramestateError
from ...runtimes import Arrays, Runtime
from .outside import AIM, FLOW, WARPED, second_part
from .padding import Plane

MOST_PIXELS = 425_000
"""Of a strip, before what it sees more: a frame of 864 x 480 is one strip, of 1920 x 1088 five."""
REACHES = (2, 4, 8)
"""Rows of the flow that a model may look aside for a frame to be blended in strips."""
ALIKE = 1e-5
_MOST_TRIED = 2**17  # pixels of a picture that is blended to try


@dataclass(frozen=True, slots=True)
class Strip:
    """Rows of a flow, and of what else has its grid: those that are looked at, and those that are shown."""

    seen: slice
    shown: slice

    @property
    def inside(self) -> slice:
        """The rows that are shown, among those that are looked at."""
        return slice(self.shown.start - self.seen.start, self.shown.stop - self.seen.start)

    def shown_of(self, made: Plane, rows: int) -> Plane:
        """What a made strip (1, channels, height, width) shows, where the flow of all it saw has ``rows``."""
        times = made.shape[2] // rows
        return made[:, :, self.inside.start * times : self.inside.stop * times]


def strips(rows: int, most: int, reach: int | None) -> list[Strip]:
    """Strips of nearly one size that show all rows of a flow once; all see equally many.

    Args:
        rows: of the flow.
        most: rows of a strip, about.
        reach: rows that a model looks aside; None where it must see all.
    """
    count = 1 if reach is None else -(-rows // max(1, most))
    borders = [round(place * rows / count) for place in range(count + 1)]
    shown = [slice(*pair) for pair in pairwise(borders)]
    seen = min(rows, max(one.stop - one.start for one in shown) + 2 * (reach or 0))
    starts = [min(max(one.start - (reach or 0), 0), rows - seen) for one in shown]
    return [Strip(slice(start, start + seen), one) for start, one in zip(starts, shown, strict=True)]


def strips_of(flow: Plane, times: int, reach: Callable[[], int | None]) -> list[Strip]:
    """The strips of a frame whose ``FLOW`` is so many times as coarse; ``reach`` is asked of a large one."""
    rows, most = flow.shape[2], MOST_PIXELS // (flow.shape[3] * times**2)
    return strips(rows, most, reach() if rows > most else None)


def cut(maps: Arrays, strip: Strip, rows: int) -> Arrays:
    """Of maps (1, channels, height, width) what a strip sees, enlarged to so many ``rows`` in all."""
    found: Arrays = {}
    for name, whole in maps.items():
        times = rows // whole.shape[2]
        if times == 1:
            found[name] = np.ascontiguousarray(whole[:, :, strip.seen])
            continue
        shape = (1, whole.shape[1], strip.seen.stop - strip.seen.start, whole.shape[3] * times)
        found[name] = np.empty(shape, np.float32)
        for plane, into in zip(whole[0], found[name][0], strict=True):
            into[...] = enlarged_rows(plane, strip.seen, times)
    return found


def enlarged_rows(plane: Plane, rows: slice, times: int) -> Plane:
    """Some rows of a plane (height, width) that is enlarged so many times: of (height, width) * times."""
    start, stop = max(rows.start // times - 1, 0), min(-(-rows.stop // times) + 1, plane.shape[0])
    part = plane[start:stop]
    larger = cv2.resize(part, (part.shape[1] * times, part.shape[0] * times), interpolation=cv2.INTER_LINEAR)
    return np.asarray(larger[rows.start - start * times : rows.stop - start * times], np.float32)


def reach_of(runtime: Runtime, multiple: int) -> int | None:
    """How many rows of a flow the second part looks aside, by trying; None where it is more than a few."""
    height, width = 4 * multiple, multiple
    spec: ModelSpec = runtime.spec
    name = second_part(spec)
    if name is None or spec.is_sized or height * width > _MOST_TRIED:
        return None
    sized = spec.sized(height, width)
    shapes = {one.name: one.concrete(1) for one in sized.function(name).inputs}
    grid = next(one.concrete(1)[2:] for one in sized.function(AIM).outputs if one.name == FLOW)
    if any(shape[2:] != ((height, width) if name in WARPED else grid) for name, shape in shapes.items()):
        return None
    rng = np.random.default_rng(0)
    noise: Arrays = {name: rng.random(shape, dtype=np.float32) for name, shape in shapes.items()}

    def made(given: Arrays) -> Arrays:
        return runtime.call(name, given, None)[0]

    try:
        whole = made(noise)
        return next((reach for reach in REACHES if _is_enough(made, noise, whole, grid[0], reach)), None)
    except FramestateError:  # another height than that of frames is nothing to it
        return None


def _is_enough(made: Callable[[Arrays], Arrays], noise: Arrays, whole: Arrays, rows: int, reach: int) -> bool:
    """Whether strips that see ``reach`` rows more show what the whole does, wherever they begin."""
    times = noise[WARPED[0]].shape[2] // rows
    for start, stop in ((0, 6), (reach + 1, reach + 6), (reach + 4, reach + 8), (rows - 5, rows)):
        seen = slice(max(start - reach, 0), min(stop + reach, rows))
        strip = Strip(seen, slice(start, stop))
        given = {
            name: np.ascontiguousarray(
                one[:, :, seen.start * times : seen.stop * times] if name in WARPED else one[:, :, seen]
            )
            for name, one in noise.items()
        }
        found = made(given)
        for name, one in whole.items():
            expected = Strip(slice(0, rows), strip.shown).shown_of(one, rows)
            if np.abs(strip.shown_of(found[name], seen.stop - seen.start) - expected).max() > ALIKE:
                return False
    return True
