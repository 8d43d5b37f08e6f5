"""`Delayed`: a scene's answers some frames late, put right by the detections that came since."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import replace

from ...errors import OptionError
from ...vision import Box
from ...wire import SceneAnswer, Sighting

MOST_FRAMES = 1000
"""That answers may be late."""

Place = tuple[float, float, float, float]
"""Centre, and the logarithms of width and height: in these a box changes evenly."""


class Delayed:
    """Holds answers back; a detection tells where its target was since the one before.

    ::

        late = Delayed(10)
        for frame in frames:
            answer = late.add(scene.update(frame, found))  # of the tenth frame before, or None
        for answer in late.rest():
            ...

    Between two detections a target is carried by motion, and drifts. How far off it is when the second comes
    is spread over the frames between: the later, the more. Ids, and who is in sight, are never changed.

    Args:
        frames: how many answers are held back.

    Raises OptionError: ``frames`` is not 1 to 1000.
    """

    def __init__(self, frames: int) -> None:
        if not 1 <= frames <= MOST_FRAMES:
            raise OptionError(f"answers are held back by {frames} frames", f"choose 1 to {MOST_FRAMES}")
        self._frames = frames
        self._held: deque[SceneAnswer] = deque()
        self._count = 0
        self._detected: dict[int, tuple[int, Sighting]] = {}

    def add(self, answer: SceneAnswer) -> SceneAnswer | None:
        """Takes the newest answer; the one of ``frames`` frames ago, or None while there is none."""
        for pair in (*answer.swapped, *answer.merged):
            for number in pair:
                self._detected.pop(number, None)  # what it was before is another's way
        for number in answer.ended:
            self._detected.pop(number, None)
        for one in answer:
            if one.source == "detected":
                if one.id in self._detected:
                    self._put_right(one, *self._detected[one.id])
                self._detected[one.id] = (self._count, one)
        self._held.append(answer)
        self._count += 1
        return self._held.popleft() if len(self._held) > self._frames else None

    def rest(self) -> list[SceneAnswer]:
        """The answers that are still held, once no more frames come."""
        rest = list(self._held)
        self._held.clear()
        return rest

    def _put_right(self, now: Sighting, then: int, before: Sighting) -> None:
        """The frames between a detection and the one before, which was of the ``then``-th answer."""
        held = len(self._held)
        between = range(max(0, held - (self._count - then - 1)), held)
        seen = [one for place in between if (one := _of(self._held[place], now.id)) is not None]
        if not seen or len(seen) < len(between):
            return  # out of sight: where it was cannot be told
        ways = [_place(one.box) for one in seen]
        last, former = ways[-1], ways[-2] if len(ways) > 1 else _place(before.box)
        expected = 2 * last[0] - former[0], 2 * last[1] - former[1], last[2], last[3]
        end, since = _place(now.box), self._count - then
        for place, one, way in zip(between, seen, ways, strict=True):
            share = 1 - (held - place) / since
            x, y, w, h = (a + share * (c - b) for a, b, c in zip(way, expected, end, strict=True))
            box = Box.from_centre(x, y, math.exp(w), math.exp(h))
            targets = self._held[place].targets
            moved = tuple(replace(one, box=box) if other is one else other for other in targets)
            self._held[place] = replace(self._held[place], targets=moved)


def _of(answer: SceneAnswer, number: int) -> Sighting | None:
    return next((one for one in answer if one.id == number), None)


def _place(box: Box) -> Place:
    return *box.centre, math.log(max(box.w, 1e-3)), math.log(max(box.h, 1e-3))
