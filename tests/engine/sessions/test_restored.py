"""Sessions out of blobs: restored beside others, and put in the place of live ones."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from typing import Any

import pytest
from framestate.engine import Engine, Track, TrackingOptions
from framestate.errors import (
    FramestateError,
    SessionError,
    StateError,
)

BOX = (12.0, 10.0, 16.0, 12.0)
Make = Callable[..., Any]


def key(track: Any) -> tuple[Any, ...]:
    return track.box, track.score, track.status, track.frame_index


def ending(future: Future[Track]) -> str:
    """How a frame ended; it has to end."""
    try:
        future.result(20)
    except FramestateError as error:
        return type(error).__name__
    except CancelledError:
        return "cancelled"
    return "answered"


def test_a_session_is_restored_with_its_options_and_its_dropped_frames(
    runtime: Any, open_runtime: Make, frame: Make
) -> None:
    engine, other = Engine(runtime, capacity=2), Engine(open_runtime(), capacity=2)
    session = engine.open(frame(1, 0), box=BOX, policy="DROP_LATEST", queue=1, deadline_ms=7, session_id="it")
    for index in range(1, 6):
        session.push(frame(1, index))
    engine.service._scheduler._queues["it"].dropped = 3
    blob = session.snapshot()
    moved = other.restore(blob)
    assert (moved.id, moved.options) == ("it", session.options)
    assert moved.snapshot() == blob
    for index in range(6, 12):
        assert session.push(frame(1, index)).dropped == (3 if index == 6 else 0)
    with pytest.raises(SessionError, match="already"):
        other.restore(blob)
    with pytest.raises(StateError):
        other.restore(blob[:-1])
    again = other.restore(blob, session_id="other", policy="WAIT", queue=9)
    assert (again.options.queue, again.options.deadline_ms) == (9, 7)
    found = [key(moved.push(frame(1, index))) for index in range(6, 12)]
    assert found == [key(again.push(frame(1, index))) for index in range(6, 12)]
    session.close()
    with pytest.raises(SessionError):
        session.snapshot()
    engine.close()
    other.close()


def test_a_snapshot_takes_the_place_of_a_live_session(runtime: Any, open_runtime: Make, frame: Make) -> None:
    """State, memory, clock, options and dropped frames go back; what waited has its error; others go on."""
    engine = Engine(runtime, capacity=2, options=TrackingOptions(refresh_every=2, refresh_sure=0.1))
    session, other = (engine.open(frame(seed, 0), box=BOX, queue=3, session_id=f"s{seed}") for seed in (1, 2))
    for index in range(1, 6):
        session.push(frame(1, index))
    engine.service._scheduler._queues["s1"].dropped = 2
    blob = session.snapshot()
    engine.service._scheduler._queues["s1"].dropped = 0
    expected = [key(session.push(frame(1, index))) for index in range(6, 13)]  # the last one refreshes

    for damaged, error in ((blob[:-1], StateError), (b"", StateError)):
        with pytest.raises(error):
            session.replace(damaged)
    assert session.clock is not None
    assert session.clock.index == 12

    runtime.gate = threading.Event()
    steps = engine.service.num_steps
    futures = [session.submit_nowait(frame(1, 13))]
    while engine.service.num_steps == steps:  # until its step has begun
        pass
    futures += [session.submit_nowait(frame(1, index)) for index in (14, 15)]
    beside = other.submit_nowait(frame(2, 1))
    swapped = session.replace_nowait(blob)
    assert not swapped.done()
    runtime.gate.set()
    assert swapped.result() is session
    assert [ending(future) for future in futures] == ["answered", "SessionError", "SessionError"]
    assert ending(beside) == "answered"
    assert session.snapshot() == blob
    again = [session.push(frame(1, index)) for index in range(6, 13)]
    assert [key(track) for track in again] == expected
    assert [track.dropped for track in again] == [2, 0, 0, 0, 0, 0, 0]

    async def put() -> None:
        await asyncio.wrap_future(other.replace_nowait(blob))
        assert (other.id, other.options.queue) == ("s2", 3)
        found = [key(await other.submit(frame(1, index))) for index in range(6, 13)]
        assert found == expected

    asyncio.run(put())
    engine.slots.check()
    assert engine.slots.num_used == 2
    session.close()
    with pytest.raises(SessionError):
        session.replace(blob)
    engine.close()
    with pytest.raises(SessionError):
        other.replace(blob)


def test_a_session_closed_while_a_snapshot_is_on_its_way_stays_closed(runtime: Any, frame: Make) -> None:
    engine = Engine(runtime, capacity=1)
    session = engine.open(frame(1, 0), box=BOX, session_id="it")
    blob = session.snapshot()
    runtime.gate = threading.Event()
    future = session.submit_nowait(frame(1, 1))
    while engine.service.num_steps == 0:
        pass
    swapped = session.replace_nowait(blob)
    session.close()
    runtime.gate.set()
    assert ending(future) == "answered"
    with pytest.raises(SessionError, match="closed"):
        swapped.result()
    engine.service.call(engine.slots.check).result()
    assert engine.slots.num_used == 0
    engine.close()
