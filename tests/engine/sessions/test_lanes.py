"""Long flights: pieces made when they are asked for, nobody held up by them, and an end at once."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from framestate.bundles import Bundle
from framestate.engine import Engine, Made, Session
from framestate.engine.lanes import Lanes
from framestate.errors import SessionError
from framestate.runtimes import Arrays, Runtime, RuntimeOver, State, open_runtime
from framestate.vision import Frame

from ..tasks.kinds import frame, plain

LONG: dict[str, Any] = {"factor": 64, "cuts": False, "duplicates": False}


class Slow(RuntimeOver):
    """Counts its calls, each of which takes a while, and a permit where there are some."""

    def __init__(self, runtime: Runtime, seconds: float = 0.0) -> None:
        super().__init__(runtime)
        self.seconds, self.calls = seconds, 0
        self.permits: threading.Semaphore | None = None

    def call(self, function: str, inputs: Arrays, state: State | None) -> tuple[Arrays, State | None]:
        self.calls += 1
        time.sleep(self.seconds)
        if self.permits is not None:
            assert self.permits.acquire(timeout=20)
        return super().call(function, inputs, state)


@pytest.fixture
def slow(tiny_interpolator: Bundle) -> Slow:
    return Slow(open_runtime(tiny_interpolator, "onnx", threads=1))


@pytest.fixture(params=[1, 2])
def engine(slow: Slow, request: pytest.FixtureRequest) -> Iterator[Engine]:
    with Engine(slow, capacity=4, lanes=Lanes(request.param)) as engine:
        yield engine
    engine.slots.check()
    assert engine.slots.num_used == 0


def begun(engine: Engine, seed: int = 0, **given: Any) -> Session[Made]:
    """A session that has seen its first frame, on the lanes."""
    engine.service.start()
    session = engine.open(**{**LONG, **given})
    session.push(frame(seed, 0))
    return session


@pytest.mark.parametrize("served", [False, True])
def test_a_piece_is_made_when_it_is_asked_for(engine: Engine, slow: Slow, served: bool) -> None:
    """Encode, encode, motion, and then one call a piece: one is made ahead where a lane makes it."""
    session = begun(engine) if served else engine.open(**LONG)
    if not served:
        session.push(frame(0, 0))
    wanted = engine.open(**LONG)
    wanted.push(frame(0, 0))
    expected = list(wanted.push(frame(0, 1)))
    slow.calls = 0
    pieces = session.stream(frame(0, 1))
    found = []
    for number in range(1, 65):
        found.append(next(pieces))
        time.sleep(0.002 if number < 5 else 0)
        assert 3 + min(number, 63) <= slow.calls <= 3 + number + 1
    assert next(pieces, None) is None
    assert plain(found) == plain(expected)
    assert session.standing.frames == 2


@pytest.mark.parametrize("served", [False, True])
def test_pieces_that_nobody_takes_leave_the_session_as_it_was(
    engine: Engine, slow: Slow, served: bool
) -> None:
    session = begun(engine) if served else engine.open(**LONG)
    if not served:
        session.push(frame(0, 0))
    memory = session.memory
    pieces = session.stream(frame(0, 1))
    next(pieces)
    if not served:
        with pytest.raises(SessionError, match="under way"):
            session.push(frame(0, 2))
    calls = slow.calls
    pieces.close()  # type: ignore[attr-defined]
    assert slow.calls <= calls + 2, "it ended with its turn"
    assert session.memory is memory
    assert len(session.push(frame(0, 1))) == 64
    assert memory.counts.frames_in == 1
    assert (session.memory.counts.frames_in, session.standing.frames) == (2, 2)


def test_a_flight_whose_piece_is_not_taken_is_parked(engine: Engine, slow: Slow) -> None:
    """It takes up no lane: others are answered; ``resume`` sends it on, from whichever thread."""
    session, other = begun(engine), begun(engine, 1)
    taken: list[Frame] = []
    parked = threading.Event()

    def take(piece: Frame) -> bool:
        taken.append(piece)
        if len(taken) == 3:
            parked.set()
        return len(taken) != 3

    job = session.post(frame(0, 1), take)
    assert parked.wait(10)
    assert len(other.push(frame(1, 1))) == 64
    assert session.snapshot()
    assert (len(taken), job.future.done()) == (3, False)
    session.resume(job)
    answer = job.future.result(10)
    assert (answer.frame_index, len(answer), len(taken)) == (1, 0, 64)
    assert [piece.index for piece in taken] == list(range(1, 65))

    again: list[Frame] = []

    def take_and_resume(piece: Frame) -> bool:
        again.append(piece)
        session.resume(next_job[0])  # before it has parked
        return False

    ready = threading.Event()
    engine.service.call(ready.wait)
    if engine.lanes.workers > 1:
        engine.service.call(ready.wait)
    next_job = [session.post(frame(0, 2), take_and_resume)]
    ready.set()
    next_job[0].future.result(10)
    assert len(again) == 64


@pytest.mark.parametrize("parked", [False, True])
def test_a_long_flight_can_be_closed_or_replaced_at_once(engine: Engine, slow: Slow, parked: bool) -> None:
    slow.seconds = 0.01
    for how in ("close", "replace"):
        session = begun(engine)
        blob = session.snapshot()
        first = threading.Event()

        def take(piece: Frame, first: threading.Event = first) -> bool:
            first.set()
            return not parked

        job = session.post(frame(0, 1), take)
        assert first.wait(10)
        calls = slow.calls
        if how == "close":
            session.close()
        else:
            session.replace(blob)
        with pytest.raises(SessionError):
            job.future.result(10)
        assert slow.calls <= calls + 3, "and not all of the 63"
        if how == "replace":
            assert session.snapshot() == blob
            session.close()


def test_a_short_flight_is_answered_while_long_ones_run(engine: Engine, slow: Slow) -> None:
    """Two streams at factor 64 and one at factor 2: it waits for turns of theirs, not for their frames."""
    long, short = [begun(engine, seed) for seed in (0, 1)], begun(engine, 2, factor=2)
    slow.seconds = 0.01
    jobs = [session.post(frame(seed, 1)) for seed, session in enumerate(long)]
    time.sleep(0.03)
    calls = slow.calls
    assert len(short.push(frame(2, 1))) == 2
    assert not any(job.future.done() for job in jobs)
    assert slow.calls <= calls + 20, "its four calls, each after a few of the others'"
    calls = slow.calls
    assert short.snapshot()
    assert long[0].snapshot()
    assert slow.calls <= calls + 12
    assert not any(job.future.done() for job in jobs)
    assert [len(job.future.result(20)) for job in jobs] == [64, 64]


@pytest.mark.parametrize("parked", [False, True])
def test_closing_the_engine_ends_long_flights_within_a_turn(slow: Slow, parked: bool) -> None:
    engine = Engine(slow, capacity=4, lanes=Lanes(2))
    sessions = [begun(engine, seed) for seed in range(3)]
    slow.seconds = 0.02
    jobs = [session.post(frame(seed, 1), lambda _: not parked) for seed, session in enumerate(sessions)]
    time.sleep(0.15)
    calls = slow.calls
    engine.close()
    assert slow.calls <= calls + 3
    for job in jobs:
        with pytest.raises(SessionError, match="closed"):
            job.future.result(1)
    assert engine.slots.num_used == 0
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("framestate-lane")]


def test_an_errand_waits_for_its_own_sessions_turn_only(slow: Slow) -> None:
    """The snapshot of a session whose turn is under way waits; that of another one does not."""
    with Engine(slow, capacity=2, lanes=Lanes(2)) as engine:
        busy, other = begun(engine), begun(engine, 1)
        slow.permits = threading.Semaphore(0)
        turns = engine.service.num_steps
        future = busy.submit_nowait(frame(0, 1))
        while engine.service.num_steps == turns:
            pass
        assert other.snapshot()
        waiting = busy.snapshot_nowait()
        time.sleep(0.02)
        assert not waiting.done()
        slow.permits.release()
        assert waiting.result(10), "its turn has ended, its flight has not"
        assert not future.done()
        busy.close()
        for _ in range(9):
            slow.permits.release()
        with pytest.raises(SessionError):
            future.result(10)


def test_an_event_loop_is_woken_once_for_all_answers_that_are_there(slow: Slow) -> None:
    async def go() -> None:
        loop = asyncio.get_running_loop()
        woken: list[Callable[..., object]] = []
        wake = loop.call_soon_threadsafe

        def counted(callback: Callable[..., object], *rest: Any, **more: Any) -> asyncio.Handle:
            woken.append(callback)
            return wake(callback, *rest, **more)

        with Engine(slow, capacity=4, lanes=Lanes(1)) as engine:
            sessions = [await engine.opened(**{**LONG, "factor": 1}) for _ in range(4)]
            loop.call_soon_threadsafe = counted  # type: ignore[method-assign, assignment]
            tasks = [
                asyncio.ensure_future(session.submit(frame(seed, 0))) for seed, session in enumerate(sessions)
            ]
            steps = engine.service.num_steps
            await asyncio.sleep(0)
            until = time.monotonic() + 10
            while engine.service.num_steps < steps + 4 and time.monotonic() < until:
                time.sleep(0.01)  # the loop is busy meanwhile
            time.sleep(0.05)
            answers = await asyncio.gather(*tasks)
            assert [len(answer) for answer in answers] == [1] * 4
            assert len(woken) == 1
            loop.call_soon_threadsafe = wake  # type: ignore[method-assign]

    asyncio.run(go())


def test_answers_to_a_loop_that_has_ended_harm_nobody(slow: Slow) -> None:
    with Engine(slow, capacity=2) as engine:
        session = begun(engine)
        slow.seconds = 0.005

        async def leave() -> None:
            task = asyncio.ensure_future(session.submit(frame(0, 1)))
            await asyncio.sleep(0.02)
            task.cancel()

        asyncio.run(leave())
        assert np.array_equal(session.push(frame(0, 2))[-1].image, frame(0, 2).image)
