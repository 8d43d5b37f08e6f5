"""Somebody puts a target right in mid-stream: the id stays, template and filter follow."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from framestate.bundles import Bundle
from framestate.engine import Engine, Track
from framestate.errors import BoxError, FrameError, FramestateError, OptionError, SessionError
from framestate.vision import Box, Frame

Clip = list[tuple[Frame, Box]]
OpenEngine = Callable[..., Engine]
Call = Callable[..., Any]
AT = 5


def corrected_run(engine: Engine, clip: Clip, answer: Call, *, with_frame: bool, moved: bool) -> list[Any]:
    """All answers of a session that is put right in frame 5, restored from its snapshot right then or not."""
    session = engine.open(clip[0][0], box=clip[0][1])
    found = []
    for frame, box in clip[1:]:
        found.append(answer(session.push(frame)))
        if frame.index == AT:
            told = {"frame": frame} if with_frame else {}
            found.append(answer(session.correct(box, **told)))
            if moved:
                blob = session.snapshot()
                session.close()
                session = engine.restore(blob)
    session.close()
    return found


@pytest.mark.parametrize("with_frame", [True, False])
def test_a_corrected_session_goes_on_from_its_snapshot_bit_for_bit(
    open_engine: OpenEngine, clips: list[Clip], answer: Call, with_frame: bool
) -> None:
    engine = open_engine()
    stayed = corrected_run(engine, clips[0], answer, with_frame=with_frame, moved=False)
    assert corrected_run(engine, clips[0], answer, with_frame=with_frame, moved=True) == stayed
    engine.service.start()
    assert corrected_run(engine, clips[0], answer, with_frame=with_frame, moved=False) == stayed
    with engine.open(clips[0][0][0], box=clips[0][0][1]) as free:
        never = [answer(free.push(frame)) for frame, _ in clips[0][1:]]
    assert stayed[:AT] == never[:AT]
    assert stayed[AT + 1 :] != never[AT:]


def test_the_template_is_that_of_a_target_given_there(open_engine: OpenEngine, clips: list[Clip]) -> None:
    engine = open_engine()
    assert engine.store is not None
    frame, box = clips[0][AT]
    with engine.open(frame, box=box) as fresh:
        expected = engine.store.save_row(fresh.slot)
    with engine.open(clips[0][0][0], box=clips[0][0][1], session_id="same") as session:
        for earlier, _ in clips[0][1 : AT + 1]:
            session.push(earlier)
        track = session.correct(box, frame=frame)
        assert (track.box, track.frame_index, session.id) == (box, frame.index, "same")
        row = engine.store.save_row(session.slot)
        assert all(np.array_equal(row[name], expected[name]) for name in expected)
        assert session.memory.box == box


def test_without_a_frame_the_template_is_made_in_the_next_one(
    open_engine: OpenEngine, clips: list[Clip]
) -> None:
    engine = open_engine()
    assert engine.store is not None
    with engine.open(clips[0][0][0], box=clips[0][0][1]) as session:
        before = engine.store.save_row(session.slot)
        session.correct(clips[0][0][1])
        assert session.memory.renew
        once = session.snapshot()
        session.correct(clips[0][0][1])
        assert session.snapshot() == once  # the same word twice, as after a lost connection
        assert all(np.array_equal(engine.store.save_row(session.slot)[name], before[name]) for name in before)
        session.push(clips[0][1][0])
        assert not session.memory.renew
        after = engine.store.save_row(session.slot)
        assert not all(np.array_equal(after[name], before[name]) for name in before)


@pytest.mark.parametrize("policy", ["WAIT", "DROP_OLDEST", "DROP_LATEST"])
def test_no_policy_drops_a_correction(open_engine: OpenEngine, clips: list[Clip], policy: str) -> None:
    engine = open_engine()
    engine.service.start()
    session = engine.open(clips[0][0][0], box=clips[0][0][1], policy=policy, queue=1)
    futures: list[Any] = []
    corrections = []
    for frame, box in clips[0][1:]:
        try:
            futures.append(session.submit_nowait(frame))
        except FramestateError:  # full
            continue
        corrections.append((session.correct_nowait(box), box))
    for future, box in corrections:
        assert future.result(timeout=30).box == box
    for future in futures:
        assert isinstance(future.exception(timeout=30) or future.result(), Track | FramestateError)
    session.close()
    with pytest.raises(SessionError):
        session.correct(clips[0][0][1])


@pytest.mark.parametrize(
    ("box", "given", "error"),
    [
        ((1, 2, 3), {}, BoxError),
        ((float("nan"), 0, 5, 5), {}, BoxError),
        ((0, 0, -5, 5), {}, BoxError),
        ((900, 900, 5, 5), {}, BoxError),
        ("box", {}, BoxError),
        ((5, 5, 20, 20), {"colour": 1}, OptionError),
        ((5, 5, 20, 20), {"look": True}, OptionError),
        ((5, 5, 20, 20), {"frame": np.zeros((120, 160, 3), np.uint8)}, FrameError),
        (
            (5, 5, 20, 20),
            {"frame": Frame(np.zeros((120, 160, 3), np.uint8), 0, Fraction(1, 25), 0)},
            FrameError,
        ),
        (
            (5, 5, 20, 20),
            {"frame": Frame(np.zeros((60, 80, 3), np.uint8), 9, Fraction(1, 25), 9)},
            FrameError,
        ),
    ],
)
def test_what_cannot_be_used_is_refused_and_changes_nothing(
    tiny_bundle: Bundle,
    clips: list[Clip],
    state_of: Call,
    box: Any,
    given: dict[str, Any],
    error: type[Exception],
) -> None:
    for on_lanes in (False, True):
        with Engine.load(tiny_bundle, runtime="onnx", device="cpu", threads=1, capacity=2) as engine:
            if on_lanes:
                engine.service.start()
            refused(engine, clips, state_of, box, given, error)


def refused(
    engine: Engine, clips: list[Clip], state_of: Call, box: Any, given: dict[str, Any], error: type[Exception]
) -> None:
    with engine.open(clips[0][0][0], box=clips[0][0][1]) as session:
        session.push(clips[0][1][0])
        before = state_of(engine, session)
        with pytest.raises(error):
            session.correct(box, **given)
        assert state_of(engine, session) == before
        session.push(clips[0][2][0])
