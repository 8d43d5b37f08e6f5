"""Running a task's steps on a runtime, apart from any session."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any, TypeVar

from ..runtimes import Runtime
from .flight import Flight, Pilot
from .lanes import Lanes
from .task import Next

Value = TypeVar("Value")


class StepRunner:
    """Runs a task's steps, or a part of them, on a runtime, apart from any session."""

    def __init__(self, runtime: Runtime) -> None:
        self._pilot = Pilot(runtime, None, Lanes())

    def __call__(self, steps: Generator[Any, Any, Value]) -> Value:
        """What the steps return. Raises what they raise."""

        def whole() -> Generator[Any, Any, Next[Value, None]]:
            return Next((yield from steps))

        flight = Flight(0, whole)
        while not flight.is_done:
            self._pilot.turn([flight])
        if flight.error is not None or flight.next is None:
            raise flight.error or RuntimeError("the steps came to no end")
        value: Value = flight.next.memory
        return value
