"""A tracker without weights: its state is a recurrence that remembers every bit it has seen."""

from __future__ import annotations

import threading
import zlib
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from framestate.bundles import FunctionSpec, ModelSpec, Size, TensorSpec
from framestate.errors import StepError
from framestate.runtimes import Arrays, HostRuntime, State
from framestate.runtimes.checks import check_finite, check_inputs, check_state
from framestate.runtimes.host_store import HostStateStore
from framestate.vision import Frame

SIZE, GRID, WORDS = 16, 4, 32
WIDTH, HEIGHT = 48, 40
POISON = 255
"""A frame whose first pixel has this value makes the fake model fail."""


def fake_spec(name: str = "fake") -> ModelSpec:
    def tensor(name: str, *shape: int, dtype: str = "float32") -> TensorSpec:
        return TensorSpec(name, dtype, ("batch", *shape))

    maps = [("score", 1), ("offset", 2), ("size", 2), ("log_variance", 4)]
    crop: dict[str, Any] = {f"{kind}_size": SIZE for kind in ("template", "search")}
    return ModelSpec(
        name=name,
        task="tracking",
        architecture="fake",
        config={},
        preprocess={**crop, "template_factor": 2.0, "search_factor": 4.0, "normalisation": "none"},
        functions={
            "init": FunctionSpec((tensor("template", 3, SIZE, SIZE),), (), (), ("template", "chain")),
            "step": FunctionSpec(
                (tensor("search", 3, SIZE, SIZE),),
                tuple(tensor(key, planes, GRID, GRID) for key, planes in maps),
                ("template", "chain"),
                ("chain",),
            ),
        },
        state=(tensor("template", WORDS), tensor("chain", WORDS)),
    )


class FakeRuntime(HostRuntime):
    """Every output follows from a hash of the template, of all crops so far and of this one."""

    name, device = "fake", "cpu"

    def __init__(self, spec: ModelSpec | None = None) -> None:
        self.spec = spec or fake_spec()
        self.failing = ""  # "raise" or "nan" fails every call that holds a poisoned crop
        self.gate: threading.Event | None = None

    def allocate(self, capacity: int, size: Size | None = None) -> HostStateStore:
        return HostStateStore(self.spec, capacity)

    def call(self, function: str, inputs: Arrays, state: State | None) -> tuple[Arrays, State | None]:
        described = self.spec.function(function)
        batch = check_inputs(function, described, inputs)
        check_state(function, self.spec, described, state, batch)
        if self.gate is not None:
            assert self.gate.wait(10)
        (pixels,) = inputs.values()
        if state is None:
            seeds = np.stack([noise(row.tobytes()) for row in pixels])
            return {}, {"template": seeds, "chain": np.zeros_like(seeds)}
        poisoned = self.failing and bool((pixels == POISON).any())
        if poisoned and self.failing == "raise":
            raise StepError("the model failed", "the session is as it was")
        parts = zip(pixels, state["template"], state["chain"], strict=True)
        chain = np.stack([noise(b"".join(part.tobytes() for part in three)) for three in parts])
        outputs = {
            tensor.name: np.stack(
                [noise(row.tobytes() + tensor.name.encode(), tensor.concrete(1)[1:]) for row in chain]
            )
            for tensor in described.outputs
        }
        outputs["size"] = 0.1 + 0.3 * outputs["size"]
        if poisoned:
            outputs["score"][0, 0, 0, 0] = np.nan
        check_finite(function, outputs)
        return outputs, {"chain": chain}

    def close(self) -> None:
        pass


def noise(data: bytes, shape: tuple[int, ...] = (WORDS,)) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Numbers in [0, 1) that follow from ``data``."""
    return np.random.default_rng(zlib.crc32(data)).random(shape, np.float32)


def picture(seed: int, index: int, *, poison: bool = False) -> Frame:
    """Frame ``index`` of clip ``seed``, at 25 frames a second."""
    image = np.random.default_rng([seed, index]).integers(0, 200, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    if poison:
        image[:] = POISON
    return Frame(image, index, Fraction(1, 25), index)


@pytest.fixture
def runtime() -> FakeRuntime:
    return FakeRuntime()


@pytest.fixture(scope="session")
def open_runtime() -> Callable[..., FakeRuntime]:
    """Opens one more fake runtime."""
    return FakeRuntime


@pytest.fixture(scope="session")
def frame() -> Callable[..., Frame]:
    """``picture`` above."""
    return picture


@pytest.fixture(scope="session")
def spec() -> Callable[..., ModelSpec]:
    """``fake_spec`` above."""
    return fake_spec
