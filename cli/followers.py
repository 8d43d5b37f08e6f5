"""What follows the targets of a video: a session a box; or a scene, which a detector opens and corrects."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from ..engine import Engine, Session, Track
from ..engine.scene import Detections, Scene
from ..vision import Frame
from .seen import Region, Seen

Detect = Callable[[Frame], Detections | None]
"""What a detector finds in a frame; None where it is not asked."""


class Follower(Protocol):
    """Follows targets from frame to frame."""

    def __call__(self, frame: Frame) -> tuple[list[Seen], list[int]]:
        """What is seen in the next frame, and which targets are lost there."""

    @property
    def waiting(self) -> Sequence[Region]:
        """Boxes whose time has not come."""


class Boxes:
    """One session for each box, opened when its time comes. Targets are numbered from 1 in that order."""

    def __init__(self, engine: Engine, regions: Sequence[Region]) -> None:
        self._engine = engine
        self.waiting: list[Region] = list(regions)
        self._sessions: list[Session[Track]] = []

    def __call__(self, frame: Frame) -> tuple[list[Seen], list[int]]:
        """See ``Follower``."""
        tracks = [session.push(frame) for session in self._sessions]
        seen = [Seen.of(number, track) for number, track in enumerate(tracks, start=1)]
        for region in due(self.waiting, frame):
            self._sessions.append(self._engine.open(frame, box=region.box))
            seen.append(Seen(len(self._sessions), region.box, 1.0, "tracking", given=True))
        return seen, [one.target for one in seen if one.status == "lost"]


class Detected:
    """A scene; boxes that somebody gave are targets of it, too."""

    def __init__(self, scene: Scene, detect: Detect, regions: Sequence[Region]) -> None:
        self._scene, self._detect = scene, detect
        self.waiting: list[Region] = list(regions)

    def __call__(self, frame: Frame) -> tuple[list[Seen], list[int]]:
        """See ``Follower``."""
        answer = self._scene.update(frame, self._detect(frame))
        seen = [Seen(one.id, one.box, one.score, one.status, one.label) for one in answer]
        for region in due(self.waiting, frame):
            target = self._scene.add(region.box)
            seen.append(Seen(target.id, region.box, 1.0, "tracking", given=True))
        return seen, list(answer.lost)


def due(waiting: list[Region], frame: Frame) -> list[Region]:
    """Takes out those whose time has come."""
    found = [one for one in waiting if one.place is None or one.place.is_before(frame)]
    waiting[:] = [one for one in waiting if one not in found]
    return found
