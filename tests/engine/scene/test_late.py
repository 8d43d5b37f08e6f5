"""Detections that come frames after their own: they find the targets that have gone on since."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import cv2
import numpy as np
import pytest
from framestate.engine import Engine
from framestate.engine.scene import Detections, Scene, SceneOptions
from framestate.errors import FrameError
from framestate.vision import Frame

OpenEngine = Callable[..., Engine]
STEP = 3  # pixels a frame, to the right
FIRST, SECOND = (30.0, 40.0, 40.0, 40.0), (90.0, 60.0, 36.0, 40.0)
LATE = SceneOptions(late=1.0, look_every=60.0)
"""Without looks, which a tiny model makes at random."""


def panned(number: int) -> Frame:
    """A frame of a video in which everything goes to the right."""
    noise = np.random.default_rng(0).integers(0, 255, (144, 400, 3), np.uint8)
    image = cv2.GaussianBlur(noise, (0, 0), 3)
    image = np.clip((image.astype(float) - 127) * 5 + 127, 0, 255).astype(np.uint8)
    return Frame(
        np.ascontiguousarray(image[:, 200 - STEP * number :][:, :192]), number, Fraction(1, 25), number
    )


def found(number: int, *boxes: tuple[float, ...], seconds: float | None = None) -> Detections:
    """What is where in a frame of this number, by where it was in the first."""
    return Detections.from_xywh([(x + STEP * number, y, w, h) for x, y, w, h in boxes], None, None, seconds)


@pytest.mark.parametrize("seen", [True, False])
def test_they_are_brought_up_to_date(open_scenes_engine: OpenEngine, seen: bool) -> None:
    with Scene(open_scenes_engine(), LATE) as scene:
        scene.update(panned(0), found(0, FIRST))
        for number in range(1, 6):
            if seen or number != 2:
                scene.update(panned(number))
        if not seen:  # somebody looked at a frame that the scene has passed over
            scene.remember(panned(2))
        answer = scene.update(panned(6), found(2, FIRST, SECOND, seconds=2 / 25))
        assert [(one.id, one.source) for one in answer] == [(1, "detected"), (2, "detected")]
        for one, (x, y, w, h) in zip(answer, (FIRST, SECOND), strict=True):
            assert one.box.xywh == pytest.approx((x + 6 * STEP, y, w, h), abs=1.5)
        assert answer.ignored == 0


def test_where_nothing_tells_they_stay_for_a_moment(open_scenes_engine: OpenEngine) -> None:
    flat = np.full((144, 192, 3), 90, np.uint8)
    for rate, kept in ((25, 1), (5, 0)):  # two frames are 0.08 s, or 0.4 s
        with Scene(open_scenes_engine(), LATE) as scene:
            for number in range(3):
                scene.update(Frame(flat, number, Fraction(1, rate), number))
            answer = scene.update(Frame(flat, 3, Fraction(1, rate), 3), found(0, FIRST, seconds=1 / rate))
            assert (len(answer), answer.ignored) == (kept, 1 - kept)


def test_those_of_a_frame_that_is_not_kept_are_refused(open_scenes_engine: OpenEngine) -> None:
    for options, seconds in (
        (LATE, 0.5),
        (LATE, -3.0),
        (SceneOptions(late=0.05), 0.0),
        (SceneOptions(), 0.04),
    ):
        with Scene(open_scenes_engine(), options) as scene:
            for number in range(4):
                scene.update(panned(number))
            before = scene.snapshot()
            with pytest.raises(FrameError, match="the detections are of"):
                scene.update(panned(4), found(0, FIRST, seconds=seconds))
            assert scene.snapshot() == before
            assert scene.update(panned(4)).frame_index == 4


def test_a_scene_that_was_restored_knows_no_past(open_scenes_engine: OpenEngine) -> None:
    with Scene(open_scenes_engine(), LATE) as scene:
        for number in range(3):
            scene.update(panned(number))
        blob = scene.snapshot()
    with Scene.restore(open_scenes_engine(), blob, LATE) as again:
        with pytest.raises(FrameError):
            again.update(panned(3), found(1, FIRST, seconds=1 / 25))
        again.update(panned(3))
        assert [one.id for one in again.update(panned(4), found(3, FIRST, seconds=3 / 25))] == [1]
