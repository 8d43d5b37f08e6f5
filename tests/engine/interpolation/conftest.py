"""Small frames that move, and an engine over the tiny interpolator that can be told to fail."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from typing import Any

import cv2
import numpy as np
import pytest
from framestate.bundles import Bundle, load_bundle
from framestate.engine import Engine
from framestate.errors import StepError
from framestate.runtimes import Arrays, Runtime, RuntimeOver, State, open_runtime
from framestate.vision import Frame, Image

TICK = Fraction(1, 1000)
Pictures = Callable[..., Image]


class Counting(RuntimeOver):
    """A runtime that counts its calls, and fails where it is told to."""

    def __init__(self, runtime: Runtime) -> None:
        super().__init__(runtime)
        self.calls: list[str] = []
        self.states: list[State | None] = []
        self.fail: set[str] = set()

    def call(self, function: str, inputs: Arrays, state: State | None) -> tuple[Arrays, State | None]:
        self.calls.append(function)
        self.states.append(state)
        if function in self.fail:
            raise StepError("the device was lost", "try again")
        return super().call(function, inputs, state)


PARTS = ("aim", "mend", "blend")
"""Functions that make a frame in two parts."""


class Without(Counting):
    """A runtime of the same model, some of whose functions nobody offers."""

    def __init__(self, runtime: Runtime, *names: str) -> None:
        super().__init__(runtime)
        kept = {name: one for name, one in runtime.spec.functions.items() if name not in names}
        self.spec = replace(runtime.spec, functions=kept)

    def close(self) -> None:
        """It is the caller's."""


class Watched(Counting):
    """A runtime that keeps what ``motion`` was handed, call by call."""

    def __init__(self, runtime: Runtime) -> None:
        super().__init__(runtime)
        self.told: list[Arrays] = []

    def call(self, function: str, inputs: Arrays, state: State | None) -> tuple[Arrays, State | None]:
        if function == "motion":
            self.told.append(inputs)
        return super().call(function, inputs, state)

    @property
    def flows(self) -> list[Any]:
        """The flows to start from, (1, 4, H, W) each."""
        return [inputs["flow"] for inputs in self.told]

    @property
    def bends(self) -> list[Any]:
        """How each was told to bend, (4, H, W)."""
        return [inputs["bend"][0] for inputs in self.told]


@pytest.fixture
def watched() -> Watched:
    """The interpolator that ships."""
    return Watched(open_runtime(load_bundle("interp-nano"), "onnx", threads=1))


@pytest.fixture
def shipped(watched: Watched) -> Iterator[Engine]:
    with Engine(watched, capacity=4) as engine:
        yield engine


@pytest.fixture
def counting(tiny_interpolator: Bundle) -> Counting:
    return Counting(open_runtime(tiny_interpolator, "onnx", threads=1))


@pytest.fixture
def engine(counting: Counting) -> Iterator[Engine]:
    with Engine(counting, capacity=4) as engine:
        yield engine
    engine.slots.check()


@pytest.fixture
def picture() -> Pictures:
    """Smooth colours that belong to a scene, moved to the right by ``shift`` pixels."""

    def make(shift: float = 0, scene: int = 0, size: tuple[int, int] = (48, 64)) -> Image:
        height, width = size
        rng = np.random.default_rng(scene)
        coarse = rng.integers(0, 256, (9, 13, 3), dtype=np.uint8)
        whole = cv2.resize(coarse, (width * 2, height * 2), interpolation=cv2.INTER_CUBIC)
        left = round(shift)
        return np.ascontiguousarray(whole[:height, left : left + width])

    return make


def frames(images: list[Image], pts: list[int] | None = None, tick: Fraction = TICK) -> list[Frame]:
    times = pts if pts is not None else [40 * place for place in range(len(images))]
    return [
        Frame(image, time, tick, place) for place, (image, time) in enumerate(zip(images, times, strict=True))
    ]
