"""Models that hand on what they were given: as another state, as an output, or changed where it lies."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from framestate.bundles import FunctionSpec, ModelSpec, TensorSpec
from framestate.engine import Engine
from framestate.errors import StepError
from framestate.runtimes.base import HostRuntime
from framestate.runtimes.eager import EagerRuntime
from framestate.runtimes.host_store import HostStateStore
from framestate.vision import Frame
from torch import nn

Tensors = dict[str, Any]
Step = Callable[[Tensors, Tensors], tuple[Tensors, Tensors]]
STATES = ("first", "second")


def tensor(name: str, *sizes: int) -> TensorSpec:
    return TensorSpec(name, "float32", ("batch", *sizes))


SPEC = ModelSpec(
    "handing", "stream", "handing", {}, {"inputs": {"image": {"kind": "frame", "range": 255}}},
    {"step": FunctionSpec((tensor("image", 1, 2, 2),), (tensor("seen", 1),), STATES, STATES)},
    (tensor("first", 1), tensor("second", 1)),
)  # fmt: skip


class Model(nn.Module):
    def __init__(self, step: Step) -> None:
        super().__init__()
        self.step = step

    def functions(self) -> dict[str, Step]:
        return {"step": self.step}


class Weightless:
    spec = SPEC

    def weights(self) -> dict[str, Any]:
        return {}


class Plain(HostRuntime):
    """Somebody's runtime over arrays."""

    name, device, spec = "plain", "cpu", SPEC

    def __init__(self, step: Step) -> None:
        self.step = step

    def allocate(self, capacity: int, size: Any = None) -> HostStateStore:
        return HostStateStore(SPEC, capacity)

    def call(self, function: str, inputs: Tensors, state: Tensors) -> tuple[Tensors, Tensors]:
        return self.step(inputs, state)

    def close(self) -> None:
        pass


def eager(step: Step, **options: Any) -> EagerRuntime:
    return EagerRuntime(Weightless(), build=lambda spec, operators: Model(step), graphs=False, **options)  # type: ignore[arg-type]


RUNTIMES: dict[str, Callable[[Step], Any]] = {
    "eager": eager,
    "eager, resident": lambda step: eager(step, resident=True),
    "host arrays": Plain,
}


@pytest.fixture(params=RUNTIMES)
def over(request: pytest.FixtureRequest) -> Callable[[Step], Any]:
    return RUNTIMES[request.param]


def frames(*levels: int) -> Iterator[Frame]:
    for index, level in enumerate(levels):
        yield Frame(np.full((2, 2, 3), level, np.uint8), index, Fraction(1, 25), index)


def answers(runtime: Any, *levels: int) -> list[float]:
    """What a session answered, looked at when it is closed."""
    with Engine(runtime, capacity=2) as engine, engine.open() as session:
        found = [session.push(frame) for frame in frames(*levels)]
    return [float(one.tensors["seen"][0]) for one in found]


def test_states_that_change_places(over: Callable[[Step], Any]) -> None:
    """Each is the other's last one: row by row, the second would be written from what the first became."""

    def step(inputs: Tensors, state: Tensors) -> tuple[Tensors, Tensors]:
        level = inputs["image"].mean((1, 2, 3))[:, None]
        return {"seen": state["first"] * 100 + state["second"]}, {
            "first": state["second"],
            "second": state["first"] if level.sum() == 0 else level,
        }

    assert answers(over(step), 3, 0, 0, 7, 0, 0) == [0, 3, 300, 3, 307, 703]


def test_a_state_as_an_output_is_the_one_of_its_frame(over: Callable[[Step], Any]) -> None:
    def step(inputs: Tensors, state: Tensors) -> tuple[Tensors, Tensors]:
        return {"seen": state["first"]}, {"first": state["first"] + 1, "second": state["first"]}

    assert answers(over(step), 0, 0, 0, 0) == [0, 1, 2, 3]


def test_a_step_that_works_in_place_and_fails_changes_nothing(over: Callable[[Step], Any]) -> None:
    def step(inputs: Tensors, state: Tensors) -> tuple[Tensors, Tensors]:
        level = float(inputs["image"].max())
        state["first"] += 1
        if level == 255:
            raise RuntimeError("out of memory")
        return {"seen": state["first"] + 0}, state

    with Engine(over(step), capacity=2) as engine, engine.open() as session:
        seen = []
        for frame in frames(0, 0, 255, 0):
            try:
                seen.append(float(session.push(frame).tensors["seen"][0]))
            except StepError:
                seen.append(-1)
    assert seen == [1, 2, -1, 3]


def test_a_frame_as_an_output_is_not_the_callers_memory() -> None:
    runtime = eager(lambda inputs, state: ({"seen": inputs["image"][:, 0, 0, :1]}, state))
    image = np.full((1, 1, 2, 2), 9, np.float32)
    state = {name: torch.zeros(1, 1) for name in STATES}
    outputs, _ = runtime.call("step", {"image": image}, state)
    image[:] = 0
    assert float(outputs["seen"][0, 0]) == 9
