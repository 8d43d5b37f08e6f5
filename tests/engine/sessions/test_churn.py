"""Fifty thousand frames over two hundred sessions: nothing grows, nothing is lost."""

from __future__ import annotations

import gc
import random
import weakref
from collections import Counter
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from typing import Any

import pytest
from framestate.bench.timing import rss_mb
from framestate.engine import Engine, Session, Track
from framestate.engine.lanes import Lanes
from framestate.errors import CapacityError, FramestateError

BOX = (12.0, 10.0, 16.0, 12.0)
SESSIONS, FRAMES, ROUNDS = 200, 50_000, 10
Make = Callable[..., Any]


def ending(future: Future[Track]) -> str:
    try:
        future.result(60)
    except FramestateError as error:
        return type(error).__name__
    except CancelledError:
        return "cancelled"
    return "answered"


@pytest.mark.slow
def test_fifty_thousand_frames_of_churn_leave_nothing_behind(open_runtime: Make, frame: Make) -> None:
    """Sessions come and go, frames are dropped, cancelled and fail; each ends once, and memory stays."""
    runtime = open_runtime()
    runtime.failing = "raise"
    chance = random.Random(0)
    shown = [frame(1, index) for index in range(8)]
    bad = frame(1, 0, poison=True).image
    ends: Counter[str] = Counter()
    live: list[Session[Track]] = []
    memory: list[float] = []
    objects: list[int] = []
    with Engine(runtime, capacity=SESSIONS, lanes=Lanes(batched=True, max_batch=16)) as engine:
        while sum(ends.values()) < FRAMES:
            while len(live) < SESSIONS:
                policy = chance.choice(["WAIT", "DROP_OLDEST", "DROP_LATEST"])
                live.append(engine.open(shown[0], box=BOX, policy=policy, queue=2))
            futures = []
            for _ in range(5):
                for session in live:
                    image = bad if chance.random() < 0.002 else chance.choice(shown).image
                    try:
                        futures.append(session.submit_nowait(image))
                    except CapacityError:
                        ends["refused"] += 1
            for future in chance.sample(futures, 10):
                future.cancel()
            for session in chance.sample(live, 20):
                session.close()
                live.remove(session)
            ends.update(ending(future) for future in futures)
            if sum(ends.values()) >= FRAMES * (len(memory) + 1) // ROUNDS:
                engine.service.call(engine.slots.check).result()
                assert engine.slots.num_used == len(live)
                del futures, future
                gc.collect()
                memory.append(rss_mb())
                objects.append(len(gc.get_objects()))
        for session in live:
            session.close()
        engine.service.call(engine.slots.check).result()
        assert engine.slots.num_used == 0
        assert not engine.sessions()
    assert set(ends) <= {"answered", "StepError", "FrameDroppedError", "SessionError", "cancelled", "refused"}
    assert all(ends[one] > 0 for one in ("answered", "StepError", "FrameDroppedError", "SessionError"))
    settled = ROUNDS // 2
    assert objects[-1] - objects[settled] < 2000, objects  # ten a session at most, of those that are open now
    assert memory[-1] - memory[settled] < 5, memory


def test_an_answered_frame_is_let_go(runtime: Any, frame: Make) -> None:
    """No cycle and no idle thread keeps pixels alive."""
    engine = Engine(runtime, capacity=1)
    session = engine.open(frame(0, 0), box=BOX)
    gc.disable()
    try:
        image = frame(0, 1).image.copy()
        gone = weakref.ref(image)
        session.submit_nowait(image).result()
        del image
        engine.service.call(lambda: None).result()
        engine.service.call(lambda: None).result()
        assert gone() is None
    finally:
        gc.enable()
        engine.close()
