"""Many sessions on one thread: each as if it were alone, and every frame answered once."""

from __future__ import annotations

import contextlib
import gc
import random
import threading
from collections.abc import Callable
from concurrent.futures import CancelledError, Future, wait
from typing import Any

import pytest
from framestate.bundles import Bundle
from framestate.engine import Engine, Policy, Session, Track
from framestate.engine.lanes import Lanes
from framestate.engine.tracking import BoxFilter
from framestate.errors import (
    CapacityError,
    FrameError,
    FramestateError,
    OptionError,
    SessionError,
    StepError,
)
from hypothesis import given, settings
from hypothesis import strategies as st

BOX = (12.0, 10.0, 16.0, 12.0)
Make = Callable[..., Any]
Sent = dict[Session[Track], list[tuple[Any, Future[Track]]]]
ACTIONS = ["open", *6 * ["submit"], "poison", "cancel", "close", "go"]
LANES = [lambda: Lanes(1), lambda: Lanes(2), lambda: Lanes(batched=True, max_batch=4)]


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


@given(data=st.data())
@settings(max_examples=150)
def test_interleaved_sessions_equal_solo_runs(open_runtime: Make, frame: Make, data: st.DataObject) -> None:
    """Arrivals, drops, failures, cancellations and closings at random: a session's answers are bit for bit
    those of a solo run over the frames that were answered, and every frame ended exactly once."""
    runtime = open_runtime()
    runtime.failing = data.draw(st.sampled_from(["raise", "nan"]))
    lanes = data.draw(st.sampled_from(LANES))()
    with contextlib.ExitStack() as stack:
        engine = stack.enter_context(Engine(runtime, capacity=3, lanes=lanes))
        runtime.gate = threading.Event()
        stack.callback(runtime.gate.set)
        seeds, sent = play(engine, runtime, frame, data)
        runtime.gate.set()
        wait([future for frames in sent.values() for _, future in frames], 20)
        for session in sent:
            session.close()
        engine.service.call(engine.slots.check).result()
        assert engine.slots.num_used == 0
    for session, frames in sent.items():
        check_against_solo(open_runtime, frame(seeds[session], 0), frames)


def play(
    engine: Engine, runtime: Any, frame: Make, data: st.DataObject
) -> tuple[dict[Session[Track], int], Sent]:
    """Random actions on an engine whose model can be held; gives every session's clip and frames."""
    sent: Sent = {}
    seeds: dict[Session[Track], int] = {}
    for action in data.draw(st.lists(st.sampled_from(ACTIONS), min_size=5, max_size=50)):
        live = [session for session in sent if not session.closed]
        if action == "open":
            runtime.gate.set()
            policy, queue = data.draw(st.sampled_from(list(Policy))), data.draw(st.integers(1, 3))
            try:
                session = engine.open(frame(len(seeds), 0), box=BOX, policy=policy, queue=queue)
            except CapacityError:
                assert len(live) == 3
                continue
            seeds[session] = len(seeds)
            sent[session] = []
        elif action == "go":
            runtime.gate.set()
            wait([future for frames in sent.values() for _, future in frames], 20)
            runtime.gate.clear()
        elif live:
            session = data.draw(st.sampled_from(live))
            if action in ("submit", "poison"):
                assert session.clock is not None
                index = session.clock.index + 1
                with contextlib.suppress(CapacityError):
                    shown = frame(seeds[session], index, poison=action == "poison")
                    sent[session].append((shown, session.submit_nowait(shown)))
            elif action == "cancel":
                place = data.draw(st.integers(0, 50))
                for _, future in sent[session][place : place + 1]:
                    future.cancel()
            elif action == "close":
                session.close()
                with pytest.raises(SessionError):
                    session.submit_nowait(frame(0, 1))
    return seeds, sent


def check_against_solo(open_runtime: Make, first: Any, frames: list[tuple[Any, Future[Track]]]) -> None:
    """The answers are those of a solo run over the answered frames, and count the dropped ones."""
    with Engine(open_runtime(), capacity=1) as alone:
        target = alone.open(first, box=BOX)
        for shown, future in frames:
            if ending(future) == "answered":
                assert key(future.result()) == key(target.push(shown))
    ends = [ending(future) for _, future in frames]
    assert set(ends) <= {"answered", "StepError", "FrameDroppedError", "SessionError", "cancelled"}
    told = sum(future.result().dropped for _, future in frames if ending(future) == "answered")
    dropped = ends.count("FrameDroppedError")
    most = dropped + ends.count("cancelled")  # a frame that was cancelled in the queue may be dropped there
    assert told <= most
    if ends and ends[-1] == "answered":
        assert told >= dropped


@pytest.mark.parametrize("lanes", LANES)
def test_churn_leaves_nothing_behind(runtime: Any, frame: Make, lanes: Callable[[], Lanes]) -> None:
    """Hundreds of sessions, thousands of frames: no more objects afterwards than before, every row free."""
    engine = Engine(runtime, capacity=8, lanes=lanes())
    shown = [frame(1, index) for index in range(8)]
    chance = random.Random(0)

    def round_of(count: int) -> None:
        for _ in range(count):
            sessions = [engine.open(shown[0], box=BOX, policy=chance.choice(["WAIT", "DROP_OLDEST"]), queue=8)
                        for _ in range(8)]  # fmt: skip
            futures = [session.submit_nowait(one) for one in shown[1:] for session in sessions]
            for session in sessions[:2]:
                session.close()
            assert {ending(future) for future in futures} <= {"answered", "SessionError"}
            for session in sessions:
                session.close()

    round_of(3)
    counts = []
    for _ in range(3):
        round_of(10)
        engine.service.call(engine.slots.check).result()
        gc.collect()
        counts.append(len(gc.get_objects()))
    assert engine.slots.num_used == 0
    assert counts[2] - counts[1] < 200, counts
    assert not engine.sessions()
    engine.close()


def test_drop_policies_and_what_the_next_answer_says(runtime: Any, frame: Make) -> None:
    engine = Engine(runtime, capacity=3)
    sessions = {policy: engine.open(frame(1, 0), box=BOX, policy=policy, queue=2) for policy in Policy}
    for policy, session in sessions.items():
        runtime.gate = threading.Event()
        steps = engine.service.num_steps
        futures = [session.submit_nowait(frame(1, 1))]
        while engine.service.num_steps == steps:  # until its step has begun
            pass
        for index in range(2, 7):
            try:
                futures.append(session.submit_nowait(frame(1, index)))
            except CapacityError:
                assert policy == "WAIT"
        runtime.gate.set()
        ends = [ending(future) for future in futures]
        if policy == "WAIT":
            assert ends == ["answered"] * 3
            assert session.submit_nowait(frame(1, 4)).result().dropped == 0, "a refused frame left no trace"
            continue
        kept = [0, 4, 5] if policy == "DROP_OLDEST" else [0, 1, 2]
        assert ends == ["answered" if place in kept else "FrameDroppedError" for place in range(6)]
        assert [futures[place].result().dropped for place in kept] == [3, 0, 0]
        with pytest.raises(FrameError, match="in order"):
            session.submit_nowait(frame(1, 6))
    engine.close()


def test_failures_are_typed_and_the_session_goes_on(
    runtime: Any, frame: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Engine(runtime, capacity=1)
    session = engine.open(frame(0, 0), box=BOX)
    with monkeypatch.context() as patched:
        patched.setattr(BoxFilter, "predict", lambda *_: 1 / 0)
        with pytest.raises(StepError, match="ZeroDivisionError") as caught:
            session.push(frame(0, 1))
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
    assert session.push(frame(0, 2)).frame_index == 2
    with pytest.raises(FrameError, match="size"):
        session.push(frame(0, 3).image[:10])
    with pytest.raises(CapacityError):
        engine.open(frame(0, 0), box=BOX)
    engine.close()
    with pytest.raises(SessionError):
        session.push(frame(0, 4))
    with pytest.raises(SessionError):
        engine.open(frame(0, 0), box=BOX)


def test_many_threads_may_ask_for_the_service_at_once(runtime: Any) -> None:
    engine, found, barrier = Engine(runtime), [], threading.Barrier(8)

    def ask() -> None:
        barrier.wait()
        found.append(engine.service)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(map(id, found))) == 1
    engine.close()


def test_ids_and_options_are_checked(runtime: Any, frame: Make) -> None:
    engine = Engine(runtime, capacity=2)
    session = engine.open(frame(0, 0), box=BOX, session_id="one")
    for options in ({"policy": "X"}, {"queue": 0}, {"deadline_ms": -1}, {"session_id": "../up"}):
        with pytest.raises(OptionError):
            engine.open(frame(0, 0), box=BOX, **options)
    with pytest.raises(SessionError, match="already"):
        engine.open(frame(0, 0), box=BOX, session_id="one")
    session.close()
    engine.open(frame(0, 0), box=BOX, session_id="one").close()
    assert engine.open(frame(0, 0), box=BOX).id != engine.open(frame(0, 0), box=BOX).id
    engine.close()


def test_closing_the_engine_answers_everything(runtime: Any, frame: Make) -> None:
    engine = Engine(runtime, capacity=2)
    sessions = [engine.open(frame(0, 0), box=BOX, queue=3) for _ in range(2)]
    runtime.gate = threading.Event()
    futures = [session.submit_nowait(frame(0, index)) for index in range(1, 4) for session in sessions]
    while engine.service.num_steps == 0:  # until a step has begun
        pass
    late = sessions[0].snapshot_nowait()
    threading.Timer(0.2, runtime.gate.set).start()
    engine.close()
    assert {ending(future) for future in futures} == {"answered", "SessionError"}
    assert isinstance(late.exception(5), SessionError | None)
    assert engine.slots.num_used == 0
    for session in sessions:
        session.close()


def test_a_callback_may_use_the_engine(runtime: Any, frame: Make) -> None:
    """It runs on the engine's own thread, which must not wait for itself."""
    engine = Engine(runtime, capacity=2)
    session = engine.open(frame(0, 0), box=BOX)
    opened: list[Session[Track]] = []
    future = session.submit_nowait(frame(0, 1))
    future.add_done_callback(lambda _: opened.append(engine.open(frame(0, 0), box=BOX)))
    future.result()
    session.push(frame(0, 2))
    assert opened[0].push(frame(0, 1)).frame_index == 1
    engine.close()


def test_a_real_model_side_by_side(tiny_bundle: Bundle, frame: Make) -> None:
    """Five sessions in two lanes of ONNX Runtime give bit for bit what five engines give."""
    with Engine.load(tiny_bundle, runtime="onnx", workers=2, capacity=5) as engine:
        assert engine.lanes.workers == 2
        sessions = [engine.open(frame(seed, 0), box=BOX, queue=12) for seed in range(5)]
        futures = [
            [session.submit_nowait(frame(seed, index)) for index in range(1, 10)]
            for seed, session in enumerate(sessions)
        ]
        found = [[key(future.result()) for future in of_one] for of_one in futures]
    for seed in range(5):
        with Engine.load(tiny_bundle, runtime="onnx", threads=1, capacity=1) as alone:
            target = alone.open(frame(seed, 0), box=BOX)
            assert found[seed] == [key(target.push(frame(seed, index))) for index in range(1, 10)]
