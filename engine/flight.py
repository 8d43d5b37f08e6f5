"""A frame's way through a task: its generator is sent the results of its calls until it returns.

``Pilot`` runs calls, alone or several sessions' in one batch. What fails fails one flight; since calls are
pure and memory is a value, a flight that has not been committed never was.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Callable, Sequence
from typing import Any

from ..errors import FramestateError, StepError
from ..runtimes import Runtime, State, StateStore, split, stack, write
from ..wire import Timings
from .futures import as_step_error
from .lanes import Lanes
from .task import OWN, Call, Early, Mix, Next, Part, Result, Steps

_SAID = (Part, Early)

OnPart = Callable[[Any], bool]
"""Takes a piece of an answer; False pauses the flight until it is sent on again."""


class Flight:
    """One frame of one session, or its opening or end, on its way.

    Args:
        row: of the session.
        begin: what the task does with it: a call of ``open``, ``step`` or ``flush``.
        on_part: takes the pieces of the answer as they come; without it they are collected in ``parts``.
        on_early: is told the memory that the next frame may start from.
    """

    __slots__ = (
        "_begin", "_has_told", "_on_early", "_on_part", "_steps", "calls", "error", "finish_s", "is_begun",
        "model_s", "next", "parts", "paused", "prepare_s", "row",
    )  # fmt: skip

    def __init__(
        self,
        row: int,
        begin: Callable[[], Steps[Any, Any] | Next[Any, Any]],
        on_part: OnPart | None = None,
        on_early: Callable[[Any], None] | None = None,
    ) -> None:
        self.row = row
        self.calls: Sequence[Call | Mix] = ()
        self.next: Next[Any, Any] | None = None
        self.error: Exception | None = None
        self.parts: list[Any] = []
        self.paused = False
        self.is_begun = False
        self._has_told = False
        self.prepare_s = self.model_s = self.finish_s = 0.0
        self._begin: Callable[[], Steps[Any, Any] | Next[Any, Any]] | None = begin
        self._on_part, self._on_early = on_part, on_early
        self._steps: Steps[Any, Any] | None = None

    @property
    def is_done(self) -> bool:
        """Whether it has come to its end, one way or the other."""
        return self.next is not None or self.error is not None or self._has_told

    def failure(self) -> FramestateError:
        """Its error, to be raised once: whoever raises it holds the flight, which must not hold it then."""
        assert self.error is not None, "it has failed"
        error, self.error, self._has_told = self.error, None, True
        traceback.clear_frames(error.__traceback__)  # of what ran: inputs, the frame, what was computed of it
        return as_step_error(error)

    def timings(self, queue_s: float = 0.0) -> Timings:
        """Where its time went, after ``queue_s`` seconds of waiting."""
        return Timings(1e3 * self.prepare_s, 1e3 * self.model_s, 1e3 * self.finish_s, 1e3 * queue_s)

    def go(self, results: list[Result] | None = None) -> None:
        """Goes on until it wants calls, pauses, or ends."""
        began, self.calls, self.paused = time.perf_counter(), (), False
        try:
            if self._steps is None:
                assert self._begin is not None, "it has not ended"
                begun = self._begin()
                if isinstance(begun, Next):  # of a task that had nothing to ask
                    self.next = begun
                    return
                self._steps = begun
            request = self._steps.send(results)
            while isinstance(request, _SAID):
                if isinstance(request, Early):
                    if self._on_early is not None:
                        self._on_early(request.memory)
                elif self._on_part is None:
                    self.parts.append(request.piece)
                elif not self._on_part(request.piece):
                    self.paused = True
                    return
                request = self._steps.send(None)
            self.calls = request
        except StopIteration as end:
            if isinstance(end.value, Next):
                self.next = end.value
            else:
                self.error = StepError(
                    f"the task returned {type(end.value).__name__}",
                    "have its generators return Next(memory, ...)",
                )
        except Exception as error:
            self.error = error
        finally:
            passed = time.perf_counter() - began
            if self.is_begun:
                self.finish_s += passed
            else:
                self.prepare_s, self.is_begun = passed, True
            if self.is_done:
                self._let_go()

    def close(self, error: Exception) -> None:
        """Ends it here: it was never flown."""
        if self._steps is not None:
            self._steps.close()
        self.calls, self.next, self.error = (), None, error
        self._let_go()

    def _let_go(self) -> None:
        """Of what it came with: that holds frames, and often whoever holds the flight, in a circle."""
        self._begin = self._on_part = self._on_early = self._steps = None


class Pilot:
    """Runs the calls of flights on a runtime, and writes rows when they are done."""

    def __init__(self, runtime: Runtime, store: StateStore | None, lanes: Lanes) -> None:
        self._runtime, self._store, self._lanes = runtime, store, lanes

    def fly(self, flights: Sequence[Flight]) -> None:
        """From the start to the end, all together; then ``commit``."""
        under_way = list(flights)
        while under_way:
            self.turn(under_way)
            under_way = [one for one in under_way if not one.is_done]
        self.commit(flights)

    def turn(self, flights: Sequence[Flight]) -> None:
        """One turn of each: what it waits for is done, and it goes on. Calls that are alike share a batch."""
        for one in flights:
            if not one.calls and not one.is_done:
                one.go()
        if len(flights) == 1 or not self._lanes.batched:
            for one in flights:
                if one.calls:
                    self._alone(one)
            return
        waiting = [one for one in flights if one.calls]
        groups: dict[Any, list[Flight]] = {}
        for place, one in enumerate(waiting):
            groups.setdefault(_kind(one.calls) or place, []).append(one)
        for alike in groups.values():
            if len(alike) == 1 or not self._together(alike):
                for one in alike:
                    self._alone(one)

    def commit(self, flights: Sequence[Flight]) -> None:
        """Writes the rows of flights that have ended well; one that cannot be written has failed."""
        ended = [one for one in flights if one.error is None and one.next is not None and one.next.row]
        if not ended:
            return
        store = self._store
        assert store is not None, "a task that writes rows has them"
        try:
            if len(ended) == 1:
                store.write([ended[0].row], _row(ended[0]))
            else:
                write(store, [one.row for one in ended], [_row(one) for one in ended])
        except Exception as error:
            if len(ended) == 1:
                ended[0].error = error
            for one in ended if len(ended) > 1 else ():  # one by one, so that one fails alone
                self.commit([one])

    def _alone(self, flight: Flight) -> None:
        began = time.perf_counter()
        try:
            results = [self._call(flight.row, one) for one in flight.calls]
        except Exception as error:
            flight.close(error)
            return
        finally:
            flight.model_s += time.perf_counter() - began
        flight.go(results)

    def _call(self, row: int, one: Call | Mix) -> Result:
        if isinstance(one, Mix):
            return Result({}, self._runtime.mix([one.first], [one.fresh], one.share))
        if one.state is OWN:
            assert self._store is not None, "a task that reads its row has one"
            state: State | None = self._store.read([row])
        else:
            state = one.state
        outputs, written = self._runtime.call(one.function, stack(self._runtime, [one.inputs]), state)
        return Result(outputs, written or {})

    def _together(self, flights: Sequence[Flight]) -> bool:
        """One call for all; False where it failed, which may be the fault of one."""
        began = time.perf_counter()
        try:
            outputs, written = self._as_one([one.calls[0] for one in flights], [one.row for one in flights])
        except Exception:
            return False
        share = (time.perf_counter() - began) / len(flights)
        size = len(flights)
        for one, found, row in zip(flights, split(outputs, size), split(written, size), strict=True):
            one.model_s += share
            one.go([Result(found, row)])
        return True

    def _as_one(self, calls: Sequence[Call | Mix], rows: Sequence[int]) -> tuple[State, State | None]:
        """Calls of several sessions, alike, as one."""
        call = calls[0]
        if isinstance(call, Mix):
            mixes = [one for one in calls if isinstance(one, Mix)]
            firsts, freshs = [one.first for one in mixes], [one.fresh for one in mixes]
            return {}, self._runtime.mix(firsts, freshs, call.share)
        spare = self._lanes.num_spare(len(calls))
        inputs = stack(
            self._runtime, [one.inputs for one in calls if isinstance(one, Call)], len(calls) + spare
        )
        state = None
        if call.state is OWN:
            assert self._store is not None, "a task that reads its row has one"
            state = self._store.read([*rows, *spare * [self._store.capacity]])  # the padding row
        return self._runtime.call(call.function, inputs, state)


def _kind(calls: Sequence[Call | Mix]) -> Any:
    """What calls of several sessions must have in common to share a batch; None where they cannot."""
    if len(calls) != 1:
        return None
    call = calls[0]
    if isinstance(call, Mix):
        return Mix, call.share, tuple(sorted(call.first))
    if call.state not in (OWN, None) or not (call.inputs or call.state):  # nothing tells for how many it is
        return None
    shapes = tuple((name, getattr(value, "shape", None)) for name, value in sorted(call.inputs.items()))
    return call.function, call.state is OWN, shapes


def _row(flight: Flight) -> State:
    assert flight.next is not None
    return flight.next.row or {}
