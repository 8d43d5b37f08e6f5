"""Frames of a moment ago, so that detections that took their time still find their targets."""

from __future__ import annotations

from bisect import insort
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from ...errors import FrameError
from ...vision import Box, Frame
from .desk import Desk, Numbers
from .detections import Detections
from .motion import Grey, motion_between
from .overlap import overlaps

MOST = 32
"""Frames that are kept; each takes a byte for every pixel of the picture that motion is looked for in."""
_SAME = 1e-4  # seconds
_TRUSTED = 0.4  # trust in the flow, from which it says where a detection went
_STILL_S = 0.25  # how late a detection may be, of which nothing tells where it went, to be taken as it is
_SHOWS = 0.3  # overlap with a target, from which a detection goes where that went


@dataclass(frozen=True, slots=True, order=True)
class Moment:
    """One frame, in the order of time.

    Attributes:
        seconds, index: of the frame.
        grey: the picture that motion is looked for in.
        boxes: where targets were, by their ids.
    """

    seconds: float
    index: int
    grey: Grey
    boxes: Mapping[int, Box]


class Past:
    """The last frames of a scene. It is in no snapshot: after ``restore`` it begins anew.

    Args:
        late: seconds that detections may be late; 0 keeps nothing.
    """

    def __init__(self, late: float) -> None:
        self._late = late
        self._moments: list[Moment] = []

    def add(self, frame: Frame, grey: Grey, boxes: Mapping[int, Box]) -> None:
        """A frame that the scene has seen."""
        if self._late:
            self._moments.append(Moment(frame.seconds, frame.index, grey, boxes))
            oldest = frame.seconds - self._late
            self._moments = [one for one in self._moments if one.seconds >= oldest][-MOST:]

    def insert(self, frame: Frame, grey: Grey) -> None:
        """An earlier frame that it has not seen. Targets were where they were before that."""
        if self._late:
            before = [one for one in self._moments if one.seconds <= frame.seconds]
            insort(
                self._moments,
                Moment(frame.seconds, frame.index, grey, before[-1].boxes if before else {}),
                key=lambda one: one.seconds,
            )

    def of_index(self, index: int) -> float | None:
        """The time of a frame that is kept; None where it is not."""
        return next((one.seconds for one in self._moments if one.index == index), None)

    def at(self, seconds: float) -> Moment | None:
        """The frame of this time, if it is kept."""
        return next((one for one in self._moments if abs(one.seconds - seconds) <= _SAME), None)

    def brought(self, found: Detections, desk: Desk, grey: Grey) -> Detections:
        """Detections in the desk's frame, its targets moved on to that already; of an earlier one, they go
        where the flow goes, or the target that they show. Where nothing tells, they stay, or are passed
        over if they are too late for that.

        Raises FrameError: they are those of a frame that is not kept.
        """
        frame, clock = desk.frame, desk.memory.clock
        step = 0.01 if clock is None else (frame.seconds - clock.seconds) / 2
        if found.seconds is None or abs(found.seconds - frame.seconds) <= step:
            return found
        then = self.at(found.seconds)
        if then is None or frame.seconds - then.seconds > self._late:
            raise FrameError(
                f"the detections are of {found.seconds:g} s, and the frame is at {frame.seconds:g} s",
                "give detections with the frame that they were made on, or set SceneOptions.late",
            )
        given = found.fitting(frame.width, frame.height, desk.options)
        desk.ignored += len(found) - len(given)
        if not len(given):
            return replace(given, seconds=None)
        went, shows = _went(given, then, desk)
        motion = motion_between(
            then.grey, grey, frame.width, given.boxes, went, desk.options.flow_points, camera=False
        )
        by_flow = motion.trust >= _TRUSTED
        boxes = given.boxes.copy()
        boxes[:, :2] += np.where(by_flow[:, None], motion.moves, went)
        soon = frame.seconds - then.seconds <= _STILL_S
        known = np.flatnonzero(by_flow | shows | soon)
        desk.ignored += len(given) - len(known)
        return replace(given, boxes=boxes, seconds=None).only(known)


def _went(
    given: Detections, then: Moment, desk: Desk
) -> tuple[Numbers, np.ndarray[tuple[int], np.dtype[np.bool_]]]:
    """How far (N, 2) the target has gone that each detection shows, and whether it shows one."""
    both = [number for number in then.boxes if number in desk.known]
    if not both:
        return np.zeros((len(given), 2)), np.zeros(len(given), np.bool_)
    old = np.array([then.boxes[number].xywh for number in both])
    new = np.array([desk.known[number].box.xywh for number in both])
    shared = overlaps(given.boxes, old)
    best = shared.argmax(axis=1)
    shows = shared.max(axis=1) >= _SHOWS
    moved = (new[:, :2] + new[:, 2:] / 2) - (old[:, :2] + old[:, 2:] / 2)
    return np.where(shows[:, None], moved[best], 0.0), shows
