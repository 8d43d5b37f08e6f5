"""One tracker over one sequence whose target goes away: what it said, and what came of each absence."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

RETURN_FRAMES = 30
"""After its return, in which a target is found in time."""
RIGHT = 0.5
"""Overlap from which a box is right."""
WRONG = 0.1
"""Overlap below which the target is missed."""
TAKEN = 10
"""Frames in a row after which something else counts as taken for the target."""
ENOUGH = 40
"""Frames with and without a search that its cost is told from."""


@dataclass(frozen=True, slots=True, eq=False)
class Followed:
    """One tracker on one sequence, frame by frame, without the first.

    Attributes:
        overlap: (n,) with the truth; NaN where the target is absent.
        score: (n,) in [0, 1], or NaN.
        tracks, lost: (n,) what it says.
        seconds: (n,) what it took; empty where nobody measured.
        in_view: (n,) how much of the target is in the picture, in [0, 1]; empty where nobody knows.
    """

    overlap: Array
    score: Array
    tracks: Flags
    lost: Flags
    seconds: Array = field(default_factory=lambda: np.empty(0))
    in_view: Array = field(default_factory=lambda: np.empty(0))

    @property
    def hidden(self) -> Flags:
        """(n,) where the target is absent and not a pixel of it is in view, as far as is known."""
        absent = np.isnan(self.overlap)
        return absent & (self.in_view == 0) if len(self.in_view) else absent

    @property
    def off(self) -> Flags:
        """(n,) where the target is absent, or missed."""
        return np.isnan(self.overlap) | (self.overlap < WRONG)

    @property
    def answers(self) -> Array:
        """(n,) scores for `long_term`."""
        return np.where(self.lost, -1.0, np.where(np.isfinite(self.score), self.score, 1.0))


def returns(run: Followed) -> list[bool]:
    """Whether each return of the target was noticed in time, in order."""
    absent = np.isnan(run.overlap)
    backs = np.flatnonzero(absent[:-1] & ~absent[1:]) + 1
    seen = (run.overlap >= RIGHT) & ~run.lost
    return [bool(seen[back : back + RETURN_FRAMES].any()) for back in backs]


def wrong_ones(run: Followed) -> list[bool]:
    """Whether something else was taken for the target in each of its absences, in order."""
    absent = np.isnan(run.overlap)
    away = np.flatnonzero(absent & ~np.concatenate([[False], absent[:-1]]))
    wrong, found = run.tracks & run.off, (run.overlap >= RIGHT) & ~run.lost
    return [_taken(absent[start:], wrong[start:], found[start:]) for start in away]


def _taken(absent: Flags, wrong: Flags, found: Flags) -> bool:
    """Of an absence that begins with these frames."""
    there = np.flatnonzero(~absent)
    end = len(absent) if not len(there) else int(there[0]) + RETURN_FRAMES
    again = np.flatnonzero(found[:end])
    end = int(again[0]) if len(again) else end
    row = 0
    for one in wrong[:end]:
        row = row + 1 if one else 0
        if row == TAKEN:
            return True
    return False


def search_cost(run: Followed) -> float:
    """What the search adds to the 99th percentile of a frame's time, in ms; NaN where frames are too few."""
    if not len(run.seconds):
        return math.nan
    searched = np.concatenate([[False], run.lost[:-1]])  # a frame is searched if the last one was lost
    if min(searched.sum(), (~searched).sum()) < ENOUGH:
        return math.nan
    slow, usual = (float(np.percentile(run.seconds[which], 99)) for which in (searched, ~searched))
    return 1e3 * (slow - usual)


def worst(values: Iterable[float]) -> float:
    """The largest number; NaN where there is none."""
    return max((value for value in values if not math.isnan(value)), default=math.nan)
