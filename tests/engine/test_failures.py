"""What fails leaves a session exactly as it was."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from framestate.engine import Engine, TrackingOptions
from framestate.engine.tracking import BoxFilter
from framestate.errors import (
    FrameError,
    StepError,
)
from framestate.vision import Box, Frame

Clip = list[tuple[Frame, Box]]
OpenEngine = Callable[..., Engine]
Call = Callable[..., Any]
OPTIONS = TrackingOptions(sure=0.3, seen=0.1, override=0.3)
REFRESHING = replace(OPTIONS, refresh_every=3, refresh_sure=0.0, refresh_share=0.25)


def replace_pts(frame: Frame, pts: int) -> Frame:
    return Frame(frame.image, pts, frame.time_base, frame.index)


@pytest.mark.parametrize("how", ["raise", "nan"])
@pytest.mark.parametrize("at", [1, 6])
def test_a_failed_step_never_happened(
    fragile: Any,
    clips: list[Clip],
    how: str,
    at: int,
    follow: Call,
    answer: Call,
    state_of: Call,
) -> None:
    clip = clips[0]
    with Engine(fragile, options=OPTIONS) as engine:
        target = engine.open(clip[0][0], box=clip[0][1])
        beside = engine.open(clips[1][0][0], box=clips[1][0][1])
        found = [answer(target.push(frame)) for frame, _ in clip[1:at]]
        before, others = state_of(engine, target), state_of(engine, beside)
        fragile.fail["step"] = how
        with pytest.raises(StepError):
            target.push(clip[at][0])
        assert state_of(engine, target) == before
        assert state_of(engine, beside) == others
        found += [answer(target.push(frame)) for frame, _ in clip[at + 1 :]]
        without = follow(engine, clip[:at] + clip[at + 1 :])
        assert found == without
        engine.slots.check()


def test_the_same_frame_can_be_sent_again_after_a_failure(
    fragile: Any, clips: list[Clip], follow: Call, answer: Call
) -> None:
    with Engine(fragile, options=OPTIONS) as engine:
        expected = follow(engine, clips[0])
        target = engine.open(clips[0][0][0], box=clips[0][0][1])
        found = []
        for frame, _ in clips[0][1:]:
            fragile.fail["step"] = "raise"
            with pytest.raises(StepError):
                target.push(frame)
            found.append(answer(target.push(frame)))
        assert found == expected


def test_a_failed_refresh_never_happened(
    fragile: Any, clips: list[Clip], follow: Call, answer: Call, state_of: Call
) -> None:
    """The refresh is the last part of a step; its failure takes the whole step back."""
    with Engine(fragile, options=replace(REFRESHING, refresh_every=2)) as engine:
        expected = follow(engine, clips[0])
        target = engine.open(clips[0][0][0], box=clips[0][0][1])
        found = [answer(target.push(clips[0][1][0]))]
        before = state_of(engine, target)
        fragile.fail["init"] = "nan"
        with pytest.raises(StepError):
            target.push(clips[0][2][0])
        assert state_of(engine, target) == before
        found += [answer(target.push(frame)) for frame, _ in clips[0][2:]]
        assert found == expected


def test_a_failure_after_the_model_never_happened(
    fragile: Any, clips: list[Clip], monkeypatch: pytest.MonkeyPatch, state_of: Call
) -> None:
    with Engine(fragile, options=OPTIONS) as engine:
        target = engine.open(clips[0][0][0], box=clips[0][0][1])
        target.push(clips[0][1][0])
        before = state_of(engine, target)
        with monkeypatch.context() as patched:
            patched.setattr(BoxFilter, "coast", lambda *_: 1 / 0)
            patched.setattr(BoxFilter, "update", lambda *_: 1 / 0)
            with pytest.raises(StepError, match="ZeroDivisionError"):
                target.push(clips[0][2][0])
        assert state_of(engine, target) == before


def test_a_session_that_fails_to_open_leaves_its_slot(fragile: Any, clips: list[Clip]) -> None:
    with Engine(fragile, capacity=1) as engine:
        fragile.fail["init"] = "nan"
        with pytest.raises(StepError):
            engine.open(clips[0][0][0], box=clips[0][0][1])
        engine.slots.check()
        assert engine.slots.num_used == 0
        engine.open(clips[0][0][0], box=clips[0][0][1]).push(clips[0][1][0])


def test_frames_that_do_not_fit_change_nothing(
    open_engine: OpenEngine, clips: list[Clip], follow: Call, answer: Call, state_of: Call
) -> None:
    engine = open_engine()
    clip = clips[0]
    target = engine.open(clip[0][0], box=clip[0][1])
    found = [answer(target.push(frame)) for frame, _ in clip[1:4]]
    before = state_of(engine, target)
    image = clip[4][0].image
    for bad, problem in (
        (Frame(image[:100].copy(), 4, Fraction(1, 25), 4), "frame 4 is 160x100, the first was 160x120"),
        (replace_pts(clip[4][0], 3), r"is at 0.1200 s, the last one at 0.1200 s"),
        (replace_pts(clip[4][0], 0), "at 0.0000 s"),
        (image.astype(np.float32), "float32"),
        (image[..., 0], "shape"),
        ("frame.png", "str is no frame"),
        (None, "NoneType is no frame"),
    ):
        with pytest.raises(FrameError, match=problem):
            target.push(bad)  # type: ignore[arg-type]
        assert state_of(engine, target) == before
    found += [answer(target.push(frame)) for frame, _ in clip[4:]]
    assert found == follow(open_engine(), clip)
