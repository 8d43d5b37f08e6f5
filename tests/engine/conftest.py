"""A short clip, and a runtime that can be told to fail."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from framestate.bundles import Bundle
from framestate.engine import Engine, Session, Track, TrackingOptions
from framestate.engine.lanes import Lanes
from framestate.errors import StepError
from framestate.runtimes import Arrays, Runtime, RuntimeOver, State, open_runtime, runtime_table
from framestate.vision import Box, Frame
from framestate.vision.synthetic import demo_clip

Clip = list[tuple[Frame, Box]]
Answer = tuple[Any, ...]
INSTALLED = [entry.name for entry in runtime_table() if entry.name != "tensorrt" and not entry.missing]


class Fragile(RuntimeOver):
    """A runtime that fails where it is told to, and keeps the inputs of every call."""

    def __init__(self, runtime: Runtime) -> None:
        super().__init__(runtime)
        self.fail: dict[str, str] = {}  # function -> how its next call fails: "raise" or "nan"
        self.calls: list[tuple[str, Arrays]] = []

    def call(self, function: str, inputs: Arrays, state: State | None) -> tuple[Arrays, State | None]:
        self.calls.append((function, inputs))
        how = self.fail.pop(function, "")
        if how == "raise":
            raise StepError("the device was lost", "try again")
        if how == "nan":  # the real runtime has to notice
            inputs = {name: np.full_like(array, np.nan) for name, array in inputs.items()}
        return super().call(function, inputs, state)


@pytest.fixture
def fragile(tiny_bundle: Bundle) -> Fragile:
    return Fragile(open_runtime(tiny_bundle, "onnx", threads=1))


def render(seed: int, frames: int) -> Clip:
    """Frames of 160 x 120 at 25 a second, with the target's box in each."""
    clip = enumerate(demo_clip(seed, frames, (160, 120)))
    return [(Frame(image, index, Fraction(1, 25), index), box) for index, (image, box, _) in clip]


@pytest.fixture(scope="session")
def clips() -> list[Clip]:
    """Three clips of fifteen frames."""
    return [render(seed, 15) for seed in range(3)]


@pytest.fixture(params=INSTALLED)
def open_engine(request: pytest.FixtureRequest, tiny_bundle: Bundle) -> Iterator[Callable[..., Engine]]:
    """Opens engines on each installed runtime, and checks their slots in the end."""
    opened: list[Engine] = []

    def make(options: TrackingOptions | None = None, capacity: int = 4, lanes: Lanes | None = None) -> Engine:
        runtime = open_runtime(tiny_bundle, request.param, device="cpu", threads=1)
        chosen = options or TrackingOptions(sure=0.3, seen=0.1, override=0.3)
        opened.append(Engine(runtime, options=chosen, capacity=capacity, lanes=lanes))
        return opened[-1]

    yield make
    for engine in opened:
        engine.slots.check()
        engine.close()


@pytest.fixture(scope="session")
def answer() -> Callable[[Track], Answer]:
    """All of an answer but its timings."""

    def pick(track: Track) -> Answer:
        return track.box.xywh, track.score, track.status, track.frame_index, track.dropped

    return pick


@pytest.fixture(scope="session")
def follow(answer: Callable[[Track], Answer]) -> Callable[[Engine, Clip], list[Answer]]:
    """Runs a whole session, from opening to closing, and gives its answers."""

    def run(engine: Engine, clip: Clip) -> list[Answer]:
        with engine.open(clip[0][0], box=clip[0][1]) as target:
            return [answer(target.push(frame)) for frame, _ in clip[1:]]

    return run


@pytest.fixture(scope="session")
def state_of() -> Callable[[Engine, Session[Track]], Answer]:
    """All that a session is: its row of state, and what else a snapshot of it holds."""

    def look(engine: Engine, target: Session[Track]) -> Answer:
        assert engine.store is not None
        row = {name: array.tobytes() for name, array in engine.store.save_row(target.slot).items()}
        return row, target.memory, target.clock, target.snapshot()

    return look
