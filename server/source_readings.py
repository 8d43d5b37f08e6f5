"""Live sources as Prometheus reads them"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol, get_args

from .live import LiveReader, State
from .metrics import Reading


class HasTargets(Protocol):
    """What is followed in a source."""

    def all(self) -> Sequence[Any]:
        """Every target."""


class HasReader(Protocol):
    """A source, as far as it matters here."""

    name: str
    reader: LiveReader

    @property
    def targets(self) -> HasTargets:
        """What is followed in it."""


def readings(sources: Iterable[HasReader]) -> Iterator[Reading]:
    """The numbers of every source; its age is left out before the first frame."""
    for source in sources:
        reader, label = source.reader, {"source": source.name}
        yield Reading("framestate_source_up", "Whether frames come.", reader.state == "live", label)
        for state in get_args(State):
            what = "1 for the state that the source is in."
            yield Reading("framestate_source_state", what, reader.state == state, {**label, "state": state})
        yield Reading("framestate_source_fps", "Frames a second, of late.", reader.fps, label)
        if reader.age is not None:
            yield Reading("framestate_source_age_seconds", "Since the last frame.", reader.age, label)
        yield Reading("framestate_source_frames_total", "Frames received.", reader.frames, label)
        count = len(source.targets.all())
        yield Reading("framestate_source_targets", "Targets that are followed.", count, label)
        again = max(0, reader.connections - 1)
        yield Reading("framestate_source_reconnects_total", "Connections after the first.", again, label)
