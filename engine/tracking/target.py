"""One target's memory on the host: filter, size, clock, status. The model's own state lives in the store."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ...runtimes import Arrays
from ...vision import Box, Frame
from ..inputs import Clock
from ..track import Status
from .kalman import BoxFilter, nominal_steps
from .measurement import Measurement
from .options import TrackingOptions
from .sweep import place

Boxes = tuple[Box, ...]
Values = tuple[
    Box, Clock, int, int, Status, float, int, Arrays | None, tuple[float, float], Boxes, Box | None
]
MemorySnapshot = tuple[Values, tuple[object, ...]]


class TargetMemory:
    """What a tracked target is believed to be, moved on by one ``predict`` and one ``observe`` a frame."""

    def __init__(
        self,
        frame: Frame | Clock,
        box: Box,
        options: TrackingOptions,
        fill: npt.NDArray[np.uint8] | None = None,
        history: int = 0,
    ) -> None:
        self.options = options
        self.fill = fill  # colour (3,) of what lies outside the frame
        self.frame_size = (frame.width, frame.height)
        self.filter = BoxFilter(box, options.filter)
        self.box = box
        self.clock = Clock.of(frame)  # at the last frame
        self.frames = 0
        self.unseen = 0  # frames in a row without an accepted measurement
        self.status: Status = "tracking"
        self.score = 1.0
        self.since_refresh = 0
        self.usual_size = (box.w, box.h)  # slow mean: an occluder shrinks the box long before this
        self.candidate: Box | None = None  # seen once elsewhere in the frame while lost: looked at again
        self.elsewhere = False  # whether the look at this frame was not at where the target is believed
        self.recent: Boxes = (box,) * history  # the last boxes, oldest first, where the model is told them
        self.first_view: npt.NDArray[np.uint8] | None = None  # the first template, where it gets refreshed
        self.taken_up = False  # from a snapshot, so that the row may hold a refreshed template
        self.first_row: Arrays | None = None  # what the model makes of it, once it is needed

    def save(self) -> MemorySnapshot:
        """All that a step changes, to be put back when the step fails."""
        values = (
            self.box,
            self.clock,
            self.frames,
            self.unseen,
            self.status,
            self.score,
            self.since_refresh,
            self.first_row,
            self.usual_size,
            self.recent,
            self.candidate,
        )
        return values, self.filter.save()

    def restore(self, saved: MemorySnapshot) -> None:
        """Undoes everything since ``save``."""
        values, filter_state = saved
        self.box, self.clock, self.frames, self.unseen, self.status, self.score = values[:6]
        self.since_refresh, self.first_row, self.usual_size, self.recent, self.candidate = values[6:]
        self.filter.restore(filter_state)

    @property
    def carry(self) -> float:
        """Share of the temporal state that the next frame starts from; 0 after a doubtful frame."""
        return self.options.carry if self.status == "tracking" and self.frames else 0.0

    def check(self, frame: Frame) -> None:
        """Raises FrameError when a frame has another size than the first, or is not later than the last."""
        self.clock.check(frame)

    def predict(self, frame: Frame) -> tuple[Box, float]:
        """Moves the filter on to the frame's time: the box to look around, and how much wider to look."""
        expected = self.filter.predict(
            nominal_steps(frame.seconds - self.clock.seconds, self.options.reference_rate)
        )
        self.clock = Clock.of(frame)
        o = self.options
        late = max(0, self.unseen - o.lost_after)
        sweeps = self.status == "lost" and 0 < o.sweep_after <= late and late % 2 == 1
        self.elsewhere = sweeps or self.candidate is not None
        if self.elsewhere:
            return self.candidate or place(self.box, self.frame_size, late // 2), 1.0
        if self.status == "lost" or o.crop == "last":
            expected = self.box
        return self._inside(expected), min(o.growth**late, o.widest)

    def observe(self, measured: Measurement) -> None:
        """Takes a measurement in, or coasts; settles box, score and status."""
        self._settle(measured)
        if self.recent:
            self.recent = (*self.recent[1:], self.box)

    def _settle(self, measured: Measurement) -> None:
        o = self.options
        self.frames += 1
        self.since_refresh += 1
        self.score = measured.score
        needed = o.sure if self.status == "lost" else o.seen
        accepted = False
        if self.elsewhere:
            accepted = self._found_elsewhere(measured)
        elif measured.score >= needed:
            passes = self.filter.gate(measured.box, measured.std) <= o.filter.gate
            accepted = passes or measured.score >= o.override
        if accepted:
            self.filter.update(measured.box, measured.std)
            self.box = self._smoothed(measured)
            self.unseen = 0
            self.status = "tracking" if measured.score >= o.sure else "uncertain"
            if self.status == "tracking":
                w, h = self.usual_size
                self.usual_size = (w + o.usual_rate * (self.box.w - w), h + o.usual_rate * (self.box.h - h))
            return
        self.filter.coast()
        self.unseen += 1
        if self.unseen == o.lost_after:  # where it was last believed, at its usual size
            self.box = Box.from_centre(*self.box.centre, *self.usual_size)
        self.status = "lost" if self.unseen >= o.lost_after else "uncertain"
        if self.status != "lost":
            self.box = self._inside(self.filter.box)

    def _found_elsewhere(self, measured: Measurement) -> bool:
        """Whether it is the target, seen for the second time in a row far from where it was lost."""
        again, self.candidate = self.candidate is not None, None
        if measured.score < self.options.sweep_sure:
            return False
        if not again:
            self.candidate = self._held(*measured.box.centre, measured.box.w, measured.box.h)
            return False
        self.box = self._held(*measured.box.centre, measured.box.w, measured.box.h)
        self.filter.restart(self.box)  # nothing of its old motion holds
        return True

    def _smoothed(self, measured: Measurement) -> Box:
        """Centre as measured; size moves towards the measured one, more so the surer the model is."""
        o = self.options
        share = o.size_floor + (o.size_ceiling - o.size_floor) * measured.score**2
        cx, cy = measured.box.centre
        w = self.box.w + share * (measured.box.w - self.box.w)
        h = self.box.h + share * (measured.box.h - self.box.h)
        return self._held(cx, cy, w, h)

    def _held(self, cx: float, cy: float, w: float, h: float) -> Box:
        """A box of at least two pixels a side, no larger than the frame, its centre in it."""
        width, height = self.frame_size
        return self._inside(Box.from_centre(cx, cy, min(max(w, 2.0), width), min(max(h, 2.0), height)))

    def _inside(self, box: Box) -> Box:
        """Moved so that its centre lies in the frame."""
        cx, cy = box.centre
        width, height = self.frame_size
        return Box.from_centre(min(max(cx, 0.0), width), min(max(cy, 0.0), height), box.w, box.h)

    @property
    def wants_refresh(self) -> bool:
        """Whether a template refresh is due, and the target seen well enough for one."""
        o = self.options
        return (
            o.refresh_every > 0
            and self.since_refresh >= o.refresh_every
            and self.status == "tracking"
            and self.score >= o.refresh_sure
        )
