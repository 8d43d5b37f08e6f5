"""How what is believed of a target moves on: one ``predict`` and one ``observe`` a frame."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from ...errors import StateError
from ...vision import Box, Frame
from ..codec import DAMAGED
from ..inputs import Clock
from .comparing import Comparing, doubted, is_cut
from .kalman import BoxFilter, Four, nominal_steps
from .measurement import Measurement
from .memory import Pixels, TargetMemory
from .options import TrackingOptions
from .sweep import place

_EXACT: Four = (0.0, 0.0, 0.0, 0.0)


class Following:
    """The rules of following, by a tracker's thresholds.

    Args:
        options: the thresholds.
        history: how many recent boxes the model is told.
    """

    def __init__(self, options: TrackingOptions, history: int = 0) -> None:
        self.options, self.history = options, history
        self.looks = Comparing(options)

    def start(
        self, frame: Frame, box: Box, fill: Pixels | None = None, first_view: Pixels | None = None
    ) -> TargetMemory:
        """A new target in ``box``, in pixels of the frame. Raises BoxError."""
        belief = BoxFilter(box, self.options.filter).belief
        recent = (box,) * self.history
        return TargetMemory(
            Clock.of(frame), box, belief, (box.w, box.h), fill, recent=recent, first_view=first_view
        )

    def carry(self, memory: TargetMemory) -> float:
        """Share of the temporal state that the next frame starts from; 0 after a doubtful frame."""
        followed = memory.status == "tracking" or (memory.unseen == 0 and doubted(memory))
        return self.options.carry if followed and memory.frames else 0.0

    def wants_refresh(self, memory: TargetMemory) -> bool:
        """Whether a template refresh is due, and the target seen well enough for one."""
        o = self.options
        return (
            o.refresh_every > 0
            and memory.first_view is not None  # a snapshot that was taken without refreshing has none
            and memory.since_refresh >= o.refresh_every
            and memory.status == "tracking"
            and memory.score >= o.refresh_sure
        )

    def predict(self, memory: TargetMemory, frame: Frame) -> tuple[TargetMemory, Box, float]:
        """Moves on to the frame's time: also the box to look around, and how much wider to look."""
        o = self.options
        filter = BoxFilter.of(memory.belief, o.filter)
        expected = filter.predict(nominal_steps(frame.seconds - memory.clock.seconds, o.reference_rate))
        late = max(0, memory.unseen - o.lost_after)
        sweeps = self._sweeps(memory) and not o.sweep_looks and late % 2 == 1
        elsewhere = sweeps or memory.candidate is not None
        memory = memory.but({"clock": Clock.of(frame), "belief": filter.belief, "elsewhere": elsewhere})
        if elsewhere:
            return memory, memory.candidate or place(memory.box, _size(memory), late // 2), 1.0
        if memory.status == "lost" or o.crop == "last":
            expected = memory.box
        return memory, _inside(memory, expected), min(o.growth**late, o.widest)

    def steady(self, memory: TargetMemory) -> bool:
        """After ``predict``: whether the target was sure to be seen, and is so slow that it is near."""
        speed = max(abs(axis.velocity) for axis in memory.belief.axes[:2])
        near = speed <= self.options.near_speed * math.sqrt(memory.box.w * memory.box.h)
        return near and memory.status == "tracking" and not memory.elsewhere and not doubted(memory)

    def observe(
        self, memory: TargetMemory, measured: Measurement, margin: float | None = None
    ) -> TargetMemory:
        """Takes a measurement in, or coasts; settles box, score and status.

        ``margin`` is how much more alike the target it looks than anything else, if it was looked at.
        """
        filter = BoxFilter.of(memory.belief, self.options.filter)
        changes: dict[str, Any] = {
            "frames": memory.frames + 1,
            "since_refresh": memory.since_refresh + 1,
            "score": float(measured.score),
        }
        self._settle(memory, filter, measured, margin, changes)
        changes["belief"] = filter.belief
        if memory.recent:
            changes["recent"] = (*memory.recent[1:], changes["box"])
        return memory.but(changes)

    def move_on(self, memory: TargetMemory, frame: Frame) -> TargetMemory:
        """At a frame that was not looked at: that of the clock, or a later one. Raises FrameError."""
        if frame.seconds < memory.clock.seconds or (frame.width, frame.height) != _size(memory):
            memory.clock.check(frame)
        filter = BoxFilter.of(memory.belief, self.options.filter)
        filter.predict(nominal_steps(frame.seconds - memory.clock.seconds, self.options.reference_rate))
        return memory.but({"clock": Clock.of(frame), "belief": filter.belief})

    def correct(self, memory: TargetMemory, box: Box, std: Four | None = None) -> TargetMemory:
        """Takes somebody's word for where it is: to ``std`` pixels of cx, cy, w, h, or to the pixel."""
        o = self.options
        filter = BoxFilter.of(memory.belief, o.filter)
        if std is None and filter.gate(box, _EXACT) > o.filter.gate:
            filter.restart(box)  # nothing of its old motion holds
        else:
            filter.update(box, _EXACT if std is None else std)
        changes: dict[str, Any] = {"belief": filter.belief, "box": box, "unseen": 0, "status": "tracking"}
        changes |= {"candidate": None, "elsewhere": False, "unconfirmed": 0}
        if memory.looks is not None:
            changes["looks"] = replace(memory.looks, doubtful=False, margin=1.0)
        if std is None:
            changes["usual_size"] = box.w, box.h
        if memory.recent:
            changes["recent"] = (*memory.recent[1:], box)
        return memory.but(changes)

    def glances(self, memory: TargetMemory) -> Iterator[Box]:
        """After ``observe``: boxes to look around in the same frame, elsewhere, while nothing is found."""
        o = self.options
        if memory.candidate is not None:
            return
        if self._sweeps(memory):
            first = (memory.unseen - o.lost_after) * o.sweep_looks
            for look in range(o.sweep_looks):
                yield place(memory.box, _size(memory), first + look)
        elif self.looks.contested(memory):
            yield place(memory.box, _size(memory), memory.frames // o.rivals_every)

    def elsewhere(self, memory: TargetMemory) -> Box | None:
        """A box that does not touch the target, another one each time; None where the frame has no room."""
        width, height = _size(memory)
        for step in range(4):
            box = place(memory.box, (width, height), memory.frames + step)
            apart = abs(box.x - memory.box.x) >= box.w or abs(box.y - memory.box.y) >= box.h
            if apart:
                return box
        return None

    def glanced(
        self, memory: TargetMemory, measured: Measurement, margin: float | None = None
    ) -> TargetMemory:
        """What one of these looks changes: something to look at again in the next frame, or nothing."""
        if measured.score < self.options.sweep_sure or self.looks.unlike(margin):
            return memory
        if memory.status != "lost" and not self.looks.outdoes(memory, measured.box, margin):
            return memory
        held = _held(memory, *measured.box.centre, measured.box.w, measured.box.h)
        return memory.but({"candidate": held})

    def _sweeps(self, memory: TargetMemory) -> bool:
        """Whether the target has been lost for so long that it is looked for in the whole frame."""
        o = self.options
        return memory.status == "lost" and 0 < o.sweep_after <= memory.unseen - o.lost_after

    def check(self, memory: TargetMemory) -> TargetMemory:
        """The memory of a snapshot, if it can be gone on with. Raises StateError."""
        memory.belief.check()
        if len(memory.recent) != self.history:
            raise StateError(
                f"the memory holds {len(memory.recent)} recent boxes, and the model is told {self.history}",
                DAMAGED,
            )
        if min(_size(memory)) < 1:
            raise StateError("the frames of the memory have no pixels", DAMAGED)
        if memory.looks is not None:
            memory.looks.check()
        for box in _there(memory.box, memory.candidate, *memory.recent):
            if not (box.w > 0 and box.h > 0 and max(map(abs, box.xywh)) <= 1e6):
                raise StateError(f"the memory holds the box {box}, which is none", DAMAGED)
        return memory

    def _settle(
        self,
        memory: TargetMemory,
        filter: BoxFilter,
        measured: Measurement,
        margin: float | None,
        changes: dict[str, Any],
    ) -> None:
        """Adds to what changes in the memory; the filter takes the measurement in, or coasts."""
        o, accepted = self.options, False
        if memory.elsewhere:
            accepted = self._found_elsewhere(memory, measured, margin, changes)
            if accepted:
                filter.restart(changes["box"])  # nothing of its old motion holds
        elif measured.score >= (o.sure if memory.status == "lost" else o.seen):
            passes = filter.gate(measured.box, measured.std) <= o.filter.gate
            accepted = passes or measured.score >= o.override
            if memory.status == "lost" and self.looks.unlike(margin):
                accepted = False
        if accepted:
            filter.update(measured.box, measured.std)
            self._see(memory, measured, margin, changes)
            return
        filter.coast()
        if memory.unconfirmed:
            changes["unconfirmed"] = o.confirm
        unseen, box = memory.unseen + 1, memory.box
        if unseen == o.lost_after:  # where it was last believed, at its usual size
            box = Box.from_centre(*box.centre, *memory.usual_size)
        if unseen < o.lost_after:
            box = _inside(memory, filter.box)
        changes["unseen"], changes["box"] = unseen, box
        changes["status"] = "lost" if unseen >= o.lost_after else "uncertain"

    def _see(
        self, memory: TargetMemory, measured: Measurement, margin: float | None, changes: dict[str, Any]
    ) -> None:
        """After a measurement that was believed."""
        o = self.options
        box = self._smoothed(memory, changes.get("box", memory.box), measured)
        changes["box"], changes["unseen"], changes["status"] = box, 0, "uncertain"
        missing = o.confirm if memory.elsewhere or memory.status == "lost" else memory.unconfirmed
        if missing:
            sure = measured.score >= o.sure and (margin is None or margin >= o.look_found)
            left = 0 if self.looks.alike(margin) else missing - 1
            changes["unconfirmed"] = left if sure else o.confirm
        elif measured.score >= o.sure and not doubted(memory) and not self._leaves(memory, box):
            w, h = memory.usual_size
            changes["usual_size"] = w + o.usual_rate * (box.w - w), h + o.usual_rate * (box.h - h)
            changes["status"] = "tracking"

    def _leaves(self, memory: TargetMemory, box: Box) -> bool:
        """Whether a target goes over the frame's edge, and so little of it is left that it counts as gone."""
        w, h = memory.usual_size
        seen = box.clipped(*_size(memory)).area if is_cut(memory, box) else w * h
        return seen < self.options.cut_least * w * h

    def _found_elsewhere(
        self, memory: TargetMemory, measured: Measurement, margin: float | None, changes: dict[str, Any]
    ) -> bool:
        """Whether it is the target, far from where it was lost: seen twice in a row, or surely alike."""
        o = self.options
        changes["candidate"] = None
        if measured.score < o.sweep_sure or self.looks.unlike(margin):
            return False
        if memory.status != "lost" and (margin is None or margin < o.look_found):
            return False
        held = _held(memory, *measured.box.centre, measured.box.w, measured.box.h)
        known = memory.candidate is not None or self.looks.alike(margin)
        changes["box" if known else "candidate"] = held
        return known

    def _smoothed(self, memory: TargetMemory, box: Box, measured: Measurement) -> Box:
        """Centre as measured; size moves from ``box`` to the measured one, more so the surer the model is."""
        o = self.options
        share = o.size_floor + (o.size_ceiling - o.size_floor) * measured.score**2
        cx, cy = measured.box.centre
        w = box.w + share * (measured.box.w - box.w)
        h = box.h + share * (measured.box.h - box.h)
        return _held(memory, cx, cy, w, h)


def _there(*boxes: Box | None) -> list[Box]:
    """Those that are there."""
    return [box for box in boxes if box is not None]


def _size(memory: TargetMemory) -> tuple[int, int]:
    return memory.clock.width, memory.clock.height


def _held(memory: TargetMemory, cx: float, cy: float, w: float, h: float) -> Box:
    """A box of at least two pixels a side, no larger than the frame, its centre in it."""
    width, height = _size(memory)
    w, h = min(max(w, 2.0), width), min(max(h, 2.0), height)
    return _moved(memory, cx - w / 2, cy - h / 2, w, h)


def _inside(memory: TargetMemory, box: Box) -> Box:
    """Moved so that its centre lies in the frame."""
    return _moved(memory, box.x, box.y, box.w, box.h)


def _moved(memory: TargetMemory, x: float, y: float, w: float, h: float) -> Box:
    """A box, moved so that its centre lies in the frame."""
    width, height = _size(memory)
    cx, cy = min(max(x + w / 2, 0.0), width), min(max(y + h / 2, 0.0), height)
    return Box(cx - w / 2, cy - h / 2, w, h)
