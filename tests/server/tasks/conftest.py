"""Four tasks and one server that runs them all: what a facility promises, it promises for each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from framestate.bundles import Bundle
from framestate.engine import Engine
from framestate.server import Settings
from framestate.vision import Box, Frame, decode_image
from framestate.wire import Made
from framestate.wire.kinds import write

from ..clips import RATE
from ..conftest import Running

TASKS = ("tracking", "interpolation", "classification", "stream")
Film = tuple[list[bytes], Box]


@dataclass(frozen=True)
class Case:
    """One task with a model of it.

    Attributes:
        model: its name.
        bundle: its name or folder.
        options: what a session is opened with.
        opens_on_frame: whether that takes the first frame.
    """

    task: str
    model: str
    bundle: str
    options: dict[str, Any]
    opens_on_frame: bool = False

    def load(self, capacity: int = 8) -> Engine:
        return Engine.load(self.bundle, runtime="onnx", device="cpu", threads=1, workers=2, capacity=capacity)

    @property
    def first(self) -> int:
        """The number of the first frame that has an answer."""
        return int(self.opens_on_frame)


def frames_of(clip: list[bytes]) -> list[Frame]:
    return [Frame(decode_image(jpeg), index, RATE, index) for index, jpeg in enumerate(clip)]


def same(one: Any, other: Any) -> bool:
    """Whether two answers are the same in everything but their times and what was dropped."""
    ours, theirs = write(one), write(other)
    if isinstance(one, Made):
        pictures = [(p.pts * p.time_base, p.index, p.image) for p in one]
        wanted = [(p.pts * p.time_base, p.index, p.image) for p in other]
        return len(pictures) == len(wanted) and all(
            a[:2] == b[:2] and np.array_equal(a[2], b[2]) for a, b in zip(pictures, wanted, strict=True)
        )
    return (
        (one is None or one.frame_index == other.frame_index)
        and (ours.kind, ours.values) == (theirs.kind, theirs.values)
        and all(np.array_equal(a.image, b.image) for a, b in zip(ours.pictures, theirs.pictures, strict=True))
        and all(np.array_equal(a, b) for a, b in zip(ours.tensors, theirs.tensors, strict=True))
    )


@pytest.fixture(scope="session")
def cases(
    tiny_interpolator: Bundle, tiny_classifier: Bundle, tiny_stream: Bundle, film: Film
) -> dict[str, Case]:
    """By the task."""
    found = [
        Case("tracking", "tracker-nano", "tracker-nano", {"box": list(film[1].xywh)}, True),
        Case("interpolation", "tiny", str(tiny_interpolator.path), {"factor": 2}),
        Case("classification", "tiny-classifier", str(tiny_classifier.path), {"smoothing": 0.3}),
        Case("stream", "tiny-stream", str(tiny_stream.path), {}),
    ]
    return {one.task: one for one in found}


@pytest.fixture(params=TASKS)
def case(request: pytest.FixtureRequest, cases: dict[str, Case]) -> Case:
    """Each of them in turn."""
    return cases[request.param]


@pytest.fixture(scope="session")
def truths(cases: dict[str, Case], film: Film) -> dict[str, list[Any]]:
    """The answers to the film's frames as the engine gives them inline, by the task."""
    found = {}
    for case in cases.values():
        frames = frames_of(film[0])
        with case.load(1) as engine:
            first = frames.pop(0) if case.opens_on_frame else None
            session = engine.open(first, **case.options)
            found[case.task] = [session.push(frame) for frame in frames]
    return found


@pytest.fixture
def truth(case: Case, truths: dict[str, list[Any]]) -> list[Any]:
    """Of the case at hand."""
    return truths[case.task]


@pytest.fixture(scope="module")
def all_tasks(cases: dict[str, Case]) -> Iterator[Running]:
    """A server with a model of each."""
    engines = {case.model: case.load() for case in cases.values()}
    running = Running(Settings(port=0), engines)
    yield running
    running.stop()
    for engine in engines.values():
        engine.slots.check()
        assert engine.slots.num_used == 0
        engine.close()


@pytest.fixture(scope="session")
def clip_file(film: Film, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The film as a video."""
    from framestate.vision import VideoWriter

    path = tmp_path_factory.mktemp("film") / "clip.mp4"
    with VideoWriter(path, 160, 120, 25) as video:
        for jpeg in film[0]:
            video.write(decode_image(jpeg))
    return path
