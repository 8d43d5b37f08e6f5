"""The work on one frame: what is known of each target by now, and what has happened."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from ...vision import Box, Frame
from ...wire import SceneAnswer, Sighting
from ..tracking import BoxFilter
from .memory import Known, SceneMemory
from .options import SceneOptions

Numbers = npt.NDArray[np.float64]
Four = tuple[float, float, float, float]


@dataclass
class Desk:
    """Attributes are as in `SceneAnswer`; nothing of the scene changes before all has gone well."""

    options: SceneOptions
    memory: SceneMemory
    frame: Frame
    known: dict[int, Known]
    next_number: int
    met: set[tuple[int, int]]
    ended: list[int] = field(default_factory=list)
    merged: list[tuple[int, int]] = field(default_factory=list)
    swapped: list[tuple[int, int]] = field(default_factory=list)
    detected: set[int] = field(default_factory=set)
    looked: list[int] = field(default_factory=list)
    skipped: list[int] = field(default_factory=list)
    failed: list[tuple[int, str]] = field(default_factory=list)
    ignored: int = 0

    @classmethod
    def of(cls, options: SceneOptions, memory: SceneMemory, frame: Frame) -> Desk:
        """With what was known before the frame."""
        known = {one.number: one for one in memory.targets}
        return cls(options, memory, frame, known, memory.next_number, set(memory.met))

    @property
    def seconds(self) -> float:
        """The frame's time."""
        return self.frame.seconds

    def change(self, number: int, **changes: Any) -> Known:
        """Sets some of what is known of a target."""
        self.known[number] = replace(self.known[number], **changes)
        return self.known[number]

    def end(self, number: int) -> None:
        """The target will not come again."""
        del self.known[number]
        self.ended.append(number)
        self.met = {pair for pair in self.met if number not in pair}

    def filter_of(self, number: int) -> BoxFilter:
        """Goes on from what is believed of a target."""
        return BoxFilter.of(self.known[number].belief, self.options.filter)

    def drifted(self, number: int) -> BoxFilter:
        """The filter of a target as sure of its place as it can be, who was carried for so many frames."""
        known = self.known[number]
        filter, o = BoxFilter.of(known.belief, self.options.filter), self.options
        w, h = known.box.w, known.box.h
        place, size = known.carried * o.drift_place**2 * w * h, known.carried * o.drift_size**2
        cx, cy, wide, high = known.belief.axes
        axes = (
            cx._replace(vv=cx.vv + place),
            cy._replace(vv=cy.vv + place),
            wide._replace(vv=wide.vv + size * w * w),
            high._replace(vv=high.vv + size * h * h),
        )
        return BoxFilter.of(filter.belief._replace(axes=axes), o.filter)

    def measure(self, number: int, box: Box, std: Four, share: float = 1.0) -> None:
        """Takes in where a target is; ``share`` of what it drifted by since the last time is settled."""
        filter = self.drifted(number)
        filter.update(box, std)
        carried = int(self.known[number].carried * (1 - share))
        self.change(number, belief=filter.belief, box=filter.box, carried=carried)

    def begin(self, box: Box, **given: Any) -> int:
        """A new target, and its number."""
        number, self.next_number = self.next_number, self.next_number + 1
        now, filter = self.seconds, BoxFilter(box, self.options.filter)
        times = {"begun": now, "seen": now, "detected": now, "looked": now, "learnt": now}
        self.known[number] = Known(number, filter.belief, filter.box, **{**times, **given})
        return number

    def answer(self) -> SceneAnswer:
        """What has come of it."""
        known = sorted(self.known.values(), key=lambda one: one.number)
        sightings = tuple(
            Sighting(one.number, one.box, one.score, one.status, one.label, self._source(one.number))
            for one in known
            if one.shown and not one.is_lost
        )
        return SceneAnswer(
            self.frame.index, self.seconds, sightings,
            tuple(one.number for one in known if one.is_lost), tuple(self.ended), tuple(self.merged),
            tuple(self.swapped), tuple(self.looked), tuple(self.skipped), self.ignored, tuple(self.failed),
        )  # fmt: skip

    def _source(self, number: int) -> str:
        if number in self.detected:
            return "detected"
        return "looked" if number in self.looked else "carried"


def boxes_of(known: list[Known]) -> Numbers:
    """Boxes (N, 4) of targets: x, y, w, h."""
    return np.array([one.box.xywh for one in known], float).reshape(-1, 4)


def spread(box: Box, place: float, size: float) -> Four:
    """Deviations of cx, cy, w, h in pixels, from shares of the box's extent and sides."""
    extent = float(np.sqrt(box.w * box.h))
    return place * extent, place * extent, size * box.w, size * box.h
