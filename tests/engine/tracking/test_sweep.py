"""A lost target is looked for in the whole frame, and believed elsewhere when it was seen there twice."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from framestate.engine.tracking.sweep import MOST_PLACES, STEP, place
from framestate.errors import StateError
from framestate.vision import Box

from .followed import MEMORY, Followed
from .test_target import OPTIONS, START, at, moved, seen

SWEEPS = replace(OPTIONS, sweep_after=2, sweep_sure=0.6)
WIDE = np.zeros((240, 320, 3), np.uint8)
FAR = Box.from_centre(280, 200, 20, 10)
NOTHING = seen(0.1)


def lost(frames: int = 4) -> Followed:
    """A target that has been lost for as long as it takes to be looked for elsewhere at the next frame."""
    memory = Followed(at(0, WIDE), START, SWEEPS)
    for frame in range(1, frames + SWEEPS.lost_after):
        step(memory, frame, NOTHING)
    assert memory.status == "lost"
    return memory


def step(memory: Followed, frame: int, measured: Any) -> Followed:
    return memory.moved(at(frame, WIDE), measured)


@pytest.mark.parametrize(
    ("box", "size"),
    [
        (START, (320, 240)),
        (Box(0, 0, 5, 5), (640, 360)),
        (Box(600, 300, 300, 200), (640, 360)),
        (Box(-50, 400, 60, 20), (100, 2000)),
        (Box(3, 3, 1, 1), (3840, 2160)),
    ],
)
def test_a_tour_covers_the_frame_the_nearest_first(box: Box, size: tuple[int, int]) -> None:
    centres: list[tuple[float, float]] = []
    for look in range(2 * MOST_PLACES):
        centre = place(box, size, look).centre
        if centre in centres:
            assert centre == centres[0], "the tour begins anew"
            break
        centres.append(centre)
    away = [math.dist(centre, box.centre) for centre in centres]
    assert away == sorted(away)
    width, height = size
    assert all(0 < x < width and 0 < y < height for x, y in centres)
    step = max(STEP * math.sqrt(box.w * box.h), math.sqrt(width * height / MOST_PLACES))
    corners = [(0, 0), (width, 0), (0, height), (width, height), (width / 2, height / 2)]
    for corner in corners:  # half a step at most from a place, along each axis
        assert min(max(abs(x - corner[0]), abs(y - corner[1])) for x, y in centres) <= step / 2 + 1e-9
    assert place(box, size, 0).w == pytest.approx(box.w)


def test_every_second_look_goes_elsewhere() -> None:
    memory = Followed(at(0, WIDE), START, SWEEPS)
    away = []
    for frame in range(1, 13):
        expected, growth = memory.predict(at(frame, WIDE))
        away.append(math.dist(expected.centre, START.centre) > 1)
        assert growth == 1 or not away[-1]
        memory.observe(NOTHING)
    # lost at the third frame; two frames on, and every other one
    assert away == [False] * 6 + [True, False, True, False, True, False]
    assert memory.box.centre == pytest.approx(START.centre), "what is answered stays where it was believed"


def test_it_is_never_elsewhere_unless_asked() -> None:
    memory = Followed(at(0, WIDE), START, OPTIONS)
    for frame in range(1, 40):
        assert memory.predict(at(frame, WIDE))[0].centre == pytest.approx(START.centre)
        memory.observe(NOTHING)


LOOKS = replace(SWEEPS, sweep_looks=3)


def test_more_looks_in_a_frame_tour_the_frame_while_one_stays() -> None:
    memory = Followed(at(0, WIDE), START, LOOKS)
    looked: list[Box] = []
    for frame in range(1, 12):
        expected, _ = memory.predict(at(frame, WIDE))
        assert expected.centre == pytest.approx(START.centre, abs=1)
        memory.observe(NOTHING)
        glances = list(memory.rules.glances(memory.memory))
        assert len(glances) == (3 if frame >= SWEEPS.lost_after + SWEEPS.sweep_after else 0)
        looked += glances
    assert looked == [place(START, (320, 240), 6 + look) for look in range(len(looked))]


def test_what_a_glance_finds_is_looked_at_again() -> None:
    memory = Followed(at(0, WIDE), START, LOOKS)
    for frame in range(1, 8):
        step(memory, frame, NOTHING)
    assert memory.rules.glanced(memory.memory, seen(0.59, FAR)) is memory.memory
    memory.memory = memory.rules.glanced(memory.memory, seen(0.7, FAR))
    assert (memory.status, memory.candidate) == ("lost", FAR)
    assert list(memory.rules.glances(memory.memory)) == [], "one is enough"
    assert memory.predict(at(8, WIDE)) == (FAR, 1.0)
    memory.observe(seen(0.65, FAR))
    assert (memory.status, memory.box) == ("tracking", FAR)


def test_who_was_lost_is_followed_again_after_some_sure_frames_in_a_row() -> None:
    memory = Followed(at(0), START, replace(OPTIONS, confirm=3))
    step(memory, 1, seen(0.9))
    assert memory.status == "tracking", "a target that was never lost needs no confirmation"
    frame = 2
    while memory.status != "lost":
        memory.moved(at(frame), NOTHING)
        frame += 1
    said = []
    for score in (0.9, 0.9, 0.1, 0.9, 0.9, 0.9, 0.9):  # one that is not seen begins the count anew
        memory.moved(at(frame), seen(score))
        said.append(memory.status)
        frame += 1
    assert said == ["uncertain"] * 6 + ["tracking"]


def test_what_is_seen_twice_is_the_target() -> None:
    memory = lost()
    assert step(memory, 7, seen(0.7, FAR)).status == "lost"
    assert memory.box.centre == pytest.approx(START.centre)
    expected, growth = memory.predict(at(8, WIDE))
    assert (expected, growth) == (FAR, 1.0)
    memory.observe(seen(0.65, FAR))
    assert (memory.status, memory.box, memory.unseen, memory.candidate) == ("tracking", FAR, 0, None)
    expected, _ = memory.predict(at(9, WIDE))
    assert expected.centre == pytest.approx(FAR.centre, abs=1e-6), "its old motion is forgotten"


@pytest.mark.parametrize("scores", [(0.7, 0.59), (0.59, 0.7)])
def test_what_is_seen_once_is_not(scores: tuple[float, float]) -> None:
    memory = lost()
    for frame, score in enumerate(scores, 7):
        step(memory, frame, seen(score, FAR) if memory.candidate or frame == 7 else NOTHING)
    assert memory.status == "lost"
    assert memory.candidate is None
    assert memory.box.centre == pytest.approx(START.centre)


def test_a_failed_step_leaves_it_where_it_was() -> None:
    memory, twin = lost(), lost()
    for other in (memory, twin):
        step(other, 7, seen(0.7, FAR))
    saved = memory.memory
    step(memory, 8, seen(0.9, FAR))
    assert memory.status == "tracking"
    memory.memory = saved
    for other in (memory, twin):
        step(other, 8, NOTHING)
        step(other, 9, seen(0.55))
    assert memory.kept == twin.kept


def test_a_snapshot_holds_what_was_seen_once() -> None:
    memory, again = step(lost(), 7, seen(0.7, FAR)), lost()
    values, arrays = memory.kept
    again.memory = MEMORY.read(values, arrays)
    for other in (memory, again):
        step(other, 8, seen(0.8, FAR))
    assert again.box == memory.box == FAR
    assert again.candidate is None
    box = values["candidate"]
    for broken in ([1, 2, 3], {**box, "w": 0.0}, {**box, "x": float("nan")}, {**box, "y": 1e300}, "far"):
        with pytest.raises(StateError):
            memory.rules.check(MEMORY.read({**values, "candidate": broken}, arrays))


def test_a_target_in_view_is_followed_as_before() -> None:
    one, other = Followed(at(0), START, SWEEPS), Followed(at(0), START, OPTIONS)
    for frame in range(1, 30):
        box = Box.from_centre(50 + math.sin(frame), 40 + frame / 3, 20, 10)
        measured = seen(0.1 if frame % 6 in (1, 2) else 0.8, box)
        assert moved(one, frame, measured).box == moved(other, frame, measured).box
