"""Opening and closing sessions, what an answer says, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
from framestate.bundles import Bundle
from framestate.engine import Engine, TrackingOptions
from framestate.errors import (
    BoxError,
    BundleError,
    CapacityError,
    OptionError,
    SessionError,
    UnknownModelError,
)
from framestate.vision import Box, Frame

Clip = list[tuple[Frame, Box]]
OpenEngine = Callable[..., Engine]
Call = Callable[..., Any]
OPTIONS = TrackingOptions(sure=0.3, seen=0.1, override=0.3)
REFRESHING = replace(OPTIONS, refresh_every=3, refresh_sure=0.0, refresh_share=0.25)


def test_bare_images_are_nominal_frames(
    open_engine: OpenEngine, clips: list[Clip], follow: Call, answer: Call
) -> None:
    for rate in (25.0, 50.0, 30000 / 1001):
        options = replace(OPTIONS, reference_rate=rate)
        tick = Fraction(1 / rate).limit_denominator(10**9)
        timed = [(Frame(frame.image, frame.index, tick, frame.index), box) for frame, box in clips[0]]
        expected = follow(open_engine(options), timed)
        with open_engine(options).open(clips[0][0][0].image, box=clips[0][0][1].xywh) as target:
            assert [answer(target.push(frame.image)) for frame, _ in clips[0][1:]] == expected


@pytest.mark.parametrize(
    "box",
    [
        (0, 0, 0, 10),
        (0, 0, 10, -1),
        (float("nan"), 0, 10, 10),
        (500, 500, 10, 10),
        (-50, -50, 50, 50),
        (0, 0, 10),
        (0, 0, 10, 10, 10),
        ("a", "b", "c", "d"),
        None,
        (1e9, 1e9, 5, 5),
    ],
)
def test_boxes_that_cannot_be_followed(fragile: Any, clips: list[Clip], box: Any) -> None:
    with Engine(fragile, capacity=1) as engine:
        with pytest.raises(BoxError):
            engine.open(clips[0][0][0], box=box)
        engine.slots.check()
        assert engine.slots.num_used == 0


def test_a_box_may_reach_over_the_edge(open_engine: OpenEngine, clips: list[Clip]) -> None:
    target = open_engine().open(clips[0][0][0], box=(-20, -20, 30, 30))
    assert target.push(clips[0][1][0]).box.is_finite


def test_capacity(fragile: Any, clips: list[Clip]) -> None:
    engine = Engine(fragile, capacity=2)
    first, second = (
        engine.open(clips[0][0][0], box=clips[0][0][1]),
        engine.open(clips[1][0][0], box=clips[1][0][1]),
    )
    with pytest.raises(CapacityError, match="all 2 sessions"):
        engine.open(clips[2][0][0], box=clips[2][0][1])
    second.push(clips[1][1][0])
    first.close()
    engine.open(clips[2][0][0], box=clips[2][0][1]).push(clips[2][1][0])
    with pytest.raises(OptionError, match="capacity is 0"):
        Engine(fragile, capacity=0)


def test_closing_twice_frees_once(fragile: Any, clips: list[Clip]) -> None:
    engine = Engine(fragile, capacity=2)
    first = engine.open(clips[0][0][0], box=clips[0][0][1])
    first.close()
    second = engine.open(clips[1][0][0], box=clips[1][0][1])
    first.close()  # its slot is somebody else's by now
    assert engine.slots.num_used == 1
    engine.slots.check()
    second.push(clips[1][1][0])
    with pytest.raises(SessionError, match="is closed"):
        first.push(clips[0][1][0])


def test_a_closed_engine_says_so(fragile: Any, clips: list[Clip]) -> None:
    with Engine(fragile) as engine:
        target = engine.open(clips[0][0][0], box=clips[0][0][1])
    engine.close()
    with pytest.raises(SessionError, match="closed"):
        target.push(clips[0][1][0])
    with pytest.raises(SessionError, match="engine is closed"):
        engine.open(clips[0][0][0], box=clips[0][0][1])
    target.close()
    engine.slots.check()


def test_an_answer_says_which_frame_and_how_long(open_engine: OpenEngine, clips: list[Clip]) -> None:
    target = open_engine().open(clips[0][0][0], box=clips[0][0][1])
    frame = Frame(clips[0][1][0].image, 7, Fraction(1, 25), 41)
    track = target.push(frame)
    assert track.frame_index == 41
    assert 0 <= track.score <= 1
    assert track.timings.model_ms > 0
    assert track.timings.total_ms == pytest.approx(
        track.timings.prepare_ms + track.timings.model_ms + track.timings.finish_ms
    )


def test_models_that_cannot_be_loaded(tiny_bundle: Bundle, fragile: Any) -> None:
    with pytest.raises(UnknownModelError):
        Engine.load("a-model-that-is-nowhere")
    fragile.spec = replace(tiny_bundle.spec, task="counting")
    with pytest.raises(BundleError, match="for 'counting', a task that is not known"):
        Engine(fragile)
