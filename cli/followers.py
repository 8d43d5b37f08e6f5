"""What follows the targets of a video: a session a box; or a scene, which a detector opens and corrects."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, Protocol

from ..engine import Engine, Session, Track
from ..engine.scene import Delayed, Detections, Scene, SceneAnswer
from ..vision import Frame
from .seen import Region, Seen

Detect = Callable[[Frame], Detections | None]
"""What a detector finds in a frame; None where it is not asked."""


class Told(NamedTuple):
    """What is seen in a frame, and which targets are lost there."""

    frame: Frame
    seen: list[Seen]
    lost: list[int]


class Follower(Protocol):
    """Follows targets from frame to frame."""

    def __call__(self, frame: Frame) -> Iterator[Told]:
        """Takes the next frame; tells of it, or of those it has not told of yet and now can."""

    def rest(self) -> Iterator[Told]:
        """Tells of the frames it has not told of, at the end."""

    @property
    def waiting(self) -> Sequence[Region]:
        """Boxes whose time has not come."""


class Boxes:
    """One session for each box, opened when its time comes. Targets are numbered from 1 in that order."""

    def __init__(self, engine: Engine, regions: Sequence[Region]) -> None:
        self._engine = engine
        self.waiting: list[Region] = list(regions)
        self._sessions: list[Session[Track]] = []

    def __call__(self, frame: Frame) -> Iterator[Told]:
        """See ``Follower``."""
        tracks = [session.push(frame) for session in self._sessions]
        seen = [Seen.of(number, track) for number, track in enumerate(tracks, start=1)]
        for region in due(self.waiting, frame):
            self._sessions.append(self._engine.open(frame, box=region.box))
            seen.append(Seen(len(self._sessions), region.box, 1.0, "tracking", given=True))
        yield Told(frame, seen, [one.target for one in seen if one.status == "lost"])

    def rest(self) -> Iterator[Told]:
        """See ``Follower``."""
        yield from ()


class Detected:
    """A scene; boxes that somebody gave are targets of it, too.

    Args:
        scene, detect, regions: what follows, what finds, and what somebody gave.
        delay: frames that it tells of late, see ``Delayed``; they are held in memory.
    """

    def __init__(self, scene: Scene, detect: Detect, regions: Sequence[Region], delay: int = 0) -> None:
        self._scene, self._detect = scene, detect
        self.waiting: list[Region] = list(regions)
        self._delayed = Delayed(delay) if delay else None
        self._held: deque[tuple[Frame, list[Seen]]] = deque()

    def __call__(self, frame: Frame) -> Iterator[Told]:
        """See ``Follower``."""
        answer: SceneAnswer | None = self._scene.update(frame, self._detect(frame))
        given = [
            Seen(self._scene.add(region.box).id, region.box, 1.0, "tracking", given=True)
            for region in due(self.waiting, frame)
        ]
        self._held.append((frame, given))
        if self._delayed is not None and answer is not None:
            answer = self._delayed.add(answer)
        if answer is not None:
            yield self._told(answer)

    def rest(self) -> Iterator[Told]:
        """See ``Follower``."""
        if self._delayed is not None:
            yield from map(self._told, self._delayed.rest())

    def _told(self, answer: SceneAnswer) -> Told:
        frame, given = self._held.popleft()
        seen = [Seen(one.id, one.box, one.score, one.status, one.label) for one in answer]
        return Told(frame, seen + given, list(answer.lost))


def due(waiting: list[Region], frame: Frame) -> list[Region]:
    """Takes out those whose time has come."""
    found = [one for one in waiting if one.place is None or one.place.is_before(frame)]
    waiting[:] = [one for one in waiting if one not in found]
    return found
