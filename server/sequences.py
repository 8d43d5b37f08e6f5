"""`Sequences`: a model run on raw tensors, its state carried from request to request of a sequence."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ..engine import Engine
from ..errors import CapacityError, RequestError, UnknownItemError

Tensors = dict[str, npt.NDArray[Any]]
STEP, INIT = "step", "init"


@dataclass(eq=False)
class Sequence:
    """One sequence: the state that its last request led to, as the runtime has it; None before the first."""

    used_at: float
    state: Mapping[str, Any] | None = None
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


@dataclass
class Statistics:
    """What a model's requests came to. Times are in nanoseconds."""

    good: int = 0
    failed: int = 0
    good_ns: int = 0
    failed_ns: int = 0
    queue_ns: int = 0
    last_ms: int = 0


class Sequences:
    """The raw sequences of one engine. Lives on the event loop; calls run on the engine's lanes.

    A sequence starts from zeros, or from what ``init`` gives where a request brings its inputs.

    Args:
        engine: whose model.
        idle_s: a sequence that hears nothing for so long is forgotten.
    """

    def __init__(self, engine: Engine, idle_s: float) -> None:
        self.engine = engine
        self.statistics = Statistics()
        self.idle_s = idle_s
        self._open: dict[str, Sequence] = {}

    @property
    def main(self) -> str:
        """The function that a request means unless it names one: ``step``, or the model's last."""
        functions = list(self.engine.runtime.spec.functions)
        return STEP if STEP in functions else functions[-1]

    async def run(
        self,
        inputs: Tensors,
        function: str | None,
        key: str | None,
        *,
        start: bool,
        end: bool,
        carry: Mapping[str, str],
    ) -> Tensors:
        """One request.

        Args:
            function: which; None is ``main``, after ``init`` where a sequence begins with the inputs of both,
                and ``init`` where it begins with those of that alone.
            key: of the sequence; None is a request of its own.
            start, end: whether the sequence begins or ends with this request.
            carry: state tensors that are taken from others before it, by name: of an interpolator, the second
                frame's become the first one's.

        Raises:
            RequestError: the sequence was never started.
            CapacityError: as many sequences are open as may be.
            UnknownItemError: the model has no such function.
            DataError, StepError, BundleError: as ``Runtime.call``.
        """
        functions = self.engine.runtime.spec.functions
        if function is not None and function not in functions:
            raise UnknownItemError(
                f"there is no function {function[:80]!r}", f"its functions: {', '.join(functions)}"
            )
        began = time.perf_counter_ns()
        sequence = self._sequence(key, start)
        statistics = self.statistics
        statistics.last_ms = round(1e3 * time.time())
        try:
            async with sequence.lock:
                state = None if start else renamed(sequence.state, carry)
                work = self.engine.service.call(lambda: self._call(inputs, function, state))
                outputs, sequence.state, waited = await asyncio.wrap_future(work)
        except BaseException:
            statistics.failed += 1
            statistics.failed_ns += time.perf_counter_ns() - began
            raise
        finally:
            sequence.used_at = time.monotonic()
            if key is not None and end:
                self._open.pop(key, None)
        statistics.good += 1
        statistics.good_ns += time.perf_counter_ns() - began
        statistics.queue_ns += max(0, waited - began)
        return outputs

    def _sequence(self, key: str | None, start: bool) -> Sequence:
        now = time.monotonic()
        if key is None:
            return Sequence(now)
        if key not in self._open:
            if not start:
                raise RequestError(
                    f"sequence {key[:80]!r} was not started, or heard nothing for too long",
                    "set sequence_start in its first request",
                )
            for old in [name for name, one in self._open.items() if now - one.used_at > self.idle_s]:
                del self._open[old]
            if len(self._open) >= self.engine.slots.capacity:
                raise CapacityError(f"{len(self._open)} sequences are open", "end some: sequence_end")
            self._open[key] = Sequence(now)
        return self._open[key]

    def _call(
        self, inputs: Tensors, function: str | None, state: Mapping[str, Any] | None
    ) -> tuple[Tensors, Mapping[str, Any] | None, int]:
        """Outputs, the next state, and when it began. Runs on a lane."""
        began, runtime = time.perf_counter_ns(), self.engine.runtime
        takes = {
            name: {one.name for one in function.inputs} for name, function in runtime.spec.functions.items()
        }
        names = [function or self.main]
        if function is None and state is None and INIT in takes and takes[INIT] <= set(inputs):
            names = [INIT, *names] if takes[self.main] <= set(inputs) else [INIT]
        known = {one for name in names for one in takes.get(name, ())}
        outputs: Tensors = {}
        for name in names:
            called = runtime.spec.function(name)
            given = {key: value for key, value in inputs.items() if key in takes[name] or key not in known}
            if called.reads_state and state is None:
                state = self._zeros(name, given)
            outputs, written = runtime.call(name, given, state if called.reads_state else None)
            if written:
                state = {**(state or {}), **written}
        return outputs, state, began

    def _zeros(self, function: str, inputs: Tensors) -> Mapping[str, Any]:
        """The state that a sequence begins with, for as many rows as the inputs have."""
        runtime = self.engine.runtime
        spec, rows, height, width = runtime.spec, 1, None, None
        for one in spec.function(function).inputs:
            shape = inputs[one.name].shape if one.name in inputs else ()
            if one.batch_axis is not None and len(shape) == len(one.shape):
                rows = shape[one.batch_axis]
            tall, wide = one.size_in(shape)
            height, width = height or tall, width or wide
        if not spec.is_sized and height and width:
            spec = spec.sized(height, width)
        zeros = {one.name: np.zeros(one.concrete(rows), one.dtype) for one in spec.state}
        return {name: runtime.from_host(name, value) for name, value in zeros.items()}


def renamed(state: Mapping[str, Any] | None, carry: Mapping[str, str]) -> Mapping[str, Any] | None:
    """The state with some tensors under other names, too. Raises RequestError for one that is not there."""
    missing = [name for name in carry.values() if name not in (state or {})]
    if missing:
        raise RequestError(f"the sequence has no state {missing[0][:80]!r} yet", "run what writes it first")
    return {**state, **{new: state[old] for new, old in carry.items()}} if state else state
