"""What every session keeps, whatever its task: order, isolation, failures without a trace, an end."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from framestate.engine import Engine, Session
from framestate.engine.lanes import Lanes
from framestate.errors import FrameError, SessionError, StepError

from ..together import pushed_together
from .kinds import Held, Kind, frame, plain

LANES: list[Callable[[], Lanes | None]] = [
    lambda: None, lambda: Lanes(2), lambda: Lanes(batched=True, max_batch=4)
]  # fmt: skip


def state(session: Session[Any], engine: Engine) -> Any:
    """All that a session is. Its memory is a value: unless it is the same object, something was committed."""
    row = engine.store.save_row(session.slot) if engine.store is not None else {}
    return id(session.memory), plain(row), session.standing.clock, session.snapshot()


def test_frames_are_answered_in_order_until_the_flush(kind: Kind, models: Path) -> None:
    with kind.engine(models) as engine, kind.open(engine) as session:
        answers = [session.push(frame(0, index)) for index in range(1, 5)]
        assert [answer.frame_index for answer in answers] == [1, 2, 3, 4]
        before = session.standing.frames
        session.flush()
        assert (session.standing.ended, session.standing.frames) == (True, before)
        for call in (
            session.flush,
            lambda: session.push(frame(0, 5)),
            lambda: session.submit_nowait(frame(0, 6)),
        ):
            with pytest.raises(SessionError, match="flushed"):
                call()
        assert session.snapshot()


def test_answers_depend_on_what_was_seen_before(kind: Kind, models: Path) -> None:
    """Without which the tests of isolation would prove nothing."""
    assert (
        kind.alone(models, 0, [1, 2, 3])[-1] != kind.alone(models, 0, [2, 3])[-1]
        or kind.name == "interpolation"
    )
    assert kind.alone(models, 0, [1, 2])[-1] != kind.alone(models, 1, [1, 2])[-1]


@pytest.mark.parametrize("lanes", LANES, ids=["inline", "side by side", "batched"])
def test_interleaved_sessions_are_as_alone(
    kind: Kind, models: Path, lanes: Callable[[], Lanes | None]
) -> None:
    """Three that open, move on and close at different times; frames that share a call come close."""
    chosen = lanes()
    with kind.engine(models, lanes=chosen) as engine:
        sessions: dict[int, Session[Any]] = {}
        found: dict[int, list[Any]] = {seed: [] for seed in range(3)}
        for tick in range(10):
            for seed in range(3):
                if tick == seed:
                    sessions[seed] = kind.open(engine, seed)
                elif tick == seed + 6:
                    sessions.pop(seed).close()
            live = {seed: one for seed, one in sessions.items() if tick > seed}
            shown = [frame(seed, tick - seed) for seed in live]
            answers = (
                [session.push(one) for session, one in zip(live.values(), shown, strict=True)]
                if chosen is None
                else pushed_together(engine, list(live.values()), shown)
            )
            for seed, answer in zip(live, answers, strict=True):
                found[seed].append(answer)
        runtime = engine.runtime
        assert isinstance(runtime, Held)
        if chosen is not None and chosen.batched and engine.store is not None:
            assert max(runtime.sizes) >= 3
        for seed in range(3):
            check_alone(kind, models, engine, seed, found[seed])
    engine.slots.check()
    assert engine.slots.num_used == 0


def check_alone(kind: Kind, models: Path, engine: Engine, seed: int, found: list[Any]) -> None:
    """Bit for bit, or as close as one call for several comes."""
    with kind.engine(models, capacity=1) as other:
        session = kind.open(other, seed)
        wanted = [session.push(frame(seed, index)) for index in range(1, 1 + len(found))]
    assert len(found) == 5
    if engine.lanes.batched and kind.near:
        assert all(
            distance(engine, one, other) <= kind.near for one, other in zip(found, wanted, strict=True)
        )
    else:
        assert plain(found) == plain(wanted)


def distance(engine: Engine, one: Any, other: Any) -> float:
    assert one.frame_index == other.frame_index
    if hasattr(one, "score"):
        return float(abs(one.score - other.score))
    return float(engine.task.distance(one, other))


@pytest.mark.parametrize("lanes", LANES, ids=["inline", "side by side", "batched"])
def test_a_frame_that_fails_never_happened(
    kind: Kind, models: Path, lanes: Callable[[], Lanes | None]
) -> None:
    """Nor do the sessions beside it notice, whose frames shared its call."""
    chosen = lanes()
    with kind.engine(models, lanes=chosen) as engine:
        session, beside = kind.open(engine, 0), kind.open(engine, 1)
        push(engine, chosen, [session, beside], [frame(0, 1), frame(1, 1)])
        before = state(session, engine)
        failed, fine = push(engine, chosen, [session, beside], [frame(0, 2, poison=True), frame(1, 2)])
        if isinstance(failed, StepError):  # an interpolator that looks ahead has not looked at it yet
            assert state(session, engine) == before
        else:
            assert kind.name == "interpolation-ahead"
            session.replace(before[-1])
        after = push(engine, chosen, [session, beside], [frame(0, 2), frame(1, 3)])
        alone, others = kind.alone(models, 0, [1, 2]), kind.alone(models, 1, [1, 2, 3])
        if not (engine.lanes.batched and kind.near):
            assert plain(after[0]) == alone[-1]
            assert [plain(fine), plain(after[1])] == others[1:]
        assert after[1].frame_index == 3


def push(engine: Engine, lanes: Lanes | None, sessions: list[Session[Any]], frames: list[Any]) -> list[Any]:
    """One frame each: one after the other here, or together on the lanes. Answers, or what failed."""
    if lanes is not None:
        return pushed_together(engine, sessions, frames)
    found: list[Any] = []
    for session, one in zip(sessions, frames, strict=True):
        try:
            found.append(session.push(one))
        except StepError as error:
            found.append(error)
    return found


def test_frames_that_do_not_fit_change_nothing(kind: Kind, models: Path) -> None:
    with kind.engine(models) as engine, kind.open(engine) as session:
        session.push(frame(0, 1))
        before = state(session, engine)
        for wrong in (frame(0, 1), frame(0, 0), None, "frame.png", np.zeros((4, 4), np.uint8)):
            for door in (session.push, session.submit_nowait, lambda one: list(session.stream(one))):
                with pytest.raises(FrameError):
                    door(wrong)  # type: ignore[arg-type]
        assert state(session, engine) == before
        assert [plain(session.push(frame(0, 2)))] == kind.alone(models, 0, [1, 2])[1:]


def test_a_bare_image_is_the_next_nominal_frame(kind: Kind, models: Path) -> None:
    with kind.engine(models) as engine, kind.open(engine) as session, kind.open(engine) as other:
        assert engine.task.reference_rate == 25
        for index in range(1, 5):
            assert plain(session.push(frame(0, index).image)) == plain(other.push(frame(0, index)))


@pytest.mark.parametrize("lanes", [lambda: Lanes(1), lambda: Lanes(2), lambda: Lanes(batched=True)])
def test_a_session_can_be_closed_while_it_flies(kind: Kind, models: Path, lanes: Callable[[], Lanes]) -> None:
    """Its row is freed when its turn ends; its frames are answered, or told; others go on."""
    with kind.engine(models, capacity=2, lanes=lanes()) as engine:
        session, beside = kind.open(engine, 0), kind.open(engine, 1)
        runtime = engine.runtime
        assert isinstance(runtime, Held)
        runtime.gate = gate = threading.Event()
        steps = engine.service.num_steps
        futures = [session.submit_nowait(frame(0, 1))]
        while engine.service.num_steps == steps:
            pass
        futures += [session.submit_nowait(frame(0, 2)), beside.submit_nowait(frame(1, 1))]
        session.close()
        assert session.closed
        gate.set()
        assert isinstance(futures[0].exception(20), SessionError | None)
        assert isinstance(futures[1].exception(20), SessionError)
        assert plain(futures[2].result(20)) == kind.alone(models, 1, [1])[0]
        engine.service.call(engine.slots.check).result()
        with kind.open(engine, 2) as third:
            assert plain(third.push(frame(2, 1))) == kind.alone(models, 2, [1])[0]
        assert plain(beside.push(frame(1, 2))) == kind.alone(models, 1, [1, 2])[1]


@pytest.mark.parametrize("served", [False, True])
@pytest.mark.parametrize("what", ["session", "engine"])
def test_what_is_closed_says_so_at_every_door(kind: Kind, models: Path, served: bool, what: str) -> None:
    engine = kind.engine(models)
    if served:
        engine.service.start()
    session = kind.open(engine)
    session.push(frame(0, 1))
    blob = session.snapshot()
    (session if what == "session" else engine).close()
    doors: list[Callable[[], Any]] = [
        lambda: session.push(frame(0, 2)),
        lambda: session.submit_nowait(frame(0, 2)),
        lambda: session.post(frame(0, 2)),
        lambda: list(session.stream(frame(0, 2))),
        lambda: list(session.ahead([frame(0, 2)], 2)),
        session.flush,
        session.snapshot,
        lambda: session.snapshot_nowait().result(),
        lambda: session.replace(blob),
    ]
    if what == "engine":
        doors += [lambda: kind.open(engine), lambda: engine.restore(blob), engine.sessions]
    for door in doors:
        with pytest.raises(SessionError, match="closed"):
            door()
    session.close()
    engine.close()
    engine.slots.check()
    assert engine.slots.num_used == 0
