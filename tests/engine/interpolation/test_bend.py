"""How motion bends: what the model is told of the pairs around, live and in videos that are there already."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import cv2
import numpy as np
import pytest
from framestate.engine import Engine, InterpolationOptions
from framestate.engine.interpolation.prior import Prior
from framestate.errors import FrameError
from framestate.vision import Frame, Image
from framestate.vision.motion import MiddleFlow, Neighbour, PairFlow, bend_of, grey_of

from .conftest import Pictures, Watched, frames

HEIGHT, WIDTH = 64, 96
PLAIN: dict[str, Any] = {"cuts": False, "duplicates": False}


def turning(count: int, scene: int = 0) -> list[Image]:
    """Frames that move by one pixel more with every frame."""
    rng = np.random.default_rng(scene)
    whole = cv2.resize(
        rng.integers(0, 256, (16, 40, 3), np.uint8), (320, HEIGHT), interpolation=cv2.INTER_CUBIC
    )
    return [np.ascontiguousarray(whole[:, 2 + step * (step + 1) // 2 :][:, :WIDTH]) for step in range(count)]


def between(one: Image, other: Image) -> PairFlow:
    """As the bundle that ships has it found."""
    return MiddleFlow("dis-fine").find(grey_of(one), grey_of(other), HEIGHT // 8, WIDTH // 8)


def pushed(engine: Engine, images: list[Image], pts: list[int] | None = None, **options: Any) -> list[Frame]:
    with engine.open(options=InterpolationOptions(**{**PLAIN, **options})) as session:
        return [one for frame in frames(images, pts) for one in session.push(frame)]


def ahead(engine: Engine, images: list[Image], lanes: int = 1, **options: Any) -> list[Frame]:
    wanted = InterpolationOptions(**{**PLAIN, "lookahead": True, **options})
    with engine.open(options=wanted) as session:
        return list(session.ahead(frames(images), lanes))


def test_live_the_pair_before_tells(shipped: Engine, watched: Watched) -> None:
    images = turning(5)
    pushed(shipped, images)
    pairs = [between(*images[place : place + 2]) for place in range(4)]
    assert not watched.bends[0].any(), "nothing is known before the first pair"
    for place in (1, 2, 3):
        expected = bend_of(pairs[place], Neighbour(pairs[place - 1]), None)
        np.testing.assert_array_equal(watched.bends[place], expected)
        assert expected[:2].any()


def test_of_a_video_the_pair_after_tells_too(shipped: Engine, watched: Watched) -> None:
    images = turning(5)
    ahead(shipped, images)
    pairs = [between(*images[place : place + 2]) for place in range(4)]
    around = [None, *(Neighbour(pair) for pair in pairs), None]
    for place, told in enumerate(watched.bends):
        expected = bend_of(pairs[place], around[place], around[place + 2])
        np.testing.assert_array_equal(told, expected)
    assert len(watched.bends) == 4
    assert watched.bends[0][2:].any()
    assert not watched.bends[-1][2:].any()


def test_a_pair_that_lasted_longer_counts_for_its_speed(shipped: Engine, watched: Watched) -> None:
    images = turning(3)
    pushed(shipped, images, pts=[0, 80, 120])
    before, pair = between(*images[:2]), between(*images[1:])
    np.testing.assert_array_equal(watched.bends[1], bend_of(pair, Neighbour(before, 0.5), None))


@pytest.mark.parametrize("what", ["cut", "duplicate", "pause"])
@pytest.mark.parametrize("way", ["push", "ahead"])
def test_nothing_is_told_across_a_gap(shipped: Engine, watched: Watched, what: str, way: str) -> None:
    one, other = turning(3), turning(6)[3:]
    pts = [0, 40, 80, 120, 160, 200]
    if what == "cut":
        other = [np.ascontiguousarray(255 - image[::-1]) // 2 for image in turning(3, scene=7)]
    elif what == "duplicate":
        other = [one[-1].copy(), *other[1:]]
    else:
        pts = [0, 40, 80, 5000, 5040, 5080]
    given = InterpolationOptions(lookahead=way == "ahead")
    with shipped.open(options=given) as session:
        coming = frames(one + other, pts)
        if way == "push":
            _ = [shown for frame in coming for shown in session.push(frame)]
        else:
            _ = list(session.ahead(coming, 1))
        counts = session.memory.counts
    assert (counts.scene_cuts, counts.duplicates, counts.pauses) == tuple(
        int(what == kind) for kind in ("cut", "duplicate", "pause")
    )
    told = [(bool(bend[:2].any()), bool(bend[2:].any())) for bend in watched.bends]
    after = way == "ahead"
    assert told == [(False, after), (True, False), (False, after), (True, False)]


def test_lanes_change_no_frame(shipped: Engine) -> None:
    images = turning(7)
    wanted = ahead(shipped, images, 1, factor=Fraction(3))
    for lanes in (2, 5):
        found = ahead(shipped, images, lanes, factor=Fraction(3))
        assert [one.index for one in found] == list(range(19))
        assert all(np.array_equal(a.image, b.image) for a, b in zip(found, wanted, strict=True))


def test_what_is_told_makes_better_frames(shipped: Engine) -> None:
    """Every other frame of the scene is withheld. The pair in the middle knows one neighbour, or both."""
    images = turning(7)
    error = {}
    for name, shown in (
        ("alone", [None, None, *pushed(shipped, images[2:5:2])]),
        ("live", pushed(shipped, images[::2])),
        ("video", ahead(shipped, images[::2])),
    ):
        made = shown[3]
        assert made is not None
        error[name] = np.square(made.image.astype(float) - images[3])[8:-8, 16:-16].mean()
    assert error["live"] < 0.8 * error["alone"]
    assert error["video"] < 0.8 * error["live"]


def test_a_flow_is_found_once_and_only_where_frames_are_made(
    shipped: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[None] = []
    find = Prior.find

    def counted(prior: Prior, *given: Any, **named: Any) -> PairFlow:
        found.append(None)
        return find(prior, *given, **named)

    monkeypatch.setattr(Prior, "find", counted)
    ahead(shipped, turning(6), factor=Fraction(4))
    assert len(found) == 5
    found.clear()
    ahead(shipped, turning(6), fps=Fraction(25))  # the frames' own rate: nothing is made
    assert not found


def test_a_frame_that_is_refused_loses_none_before_it(shipped: Engine) -> None:
    images = turning(4)
    coming = frames([*images[:3], images[3][:32]])
    shown: list[Frame] = []
    wanted = InterpolationOptions(**PLAIN, lookahead=True)
    with shipped.open(options=wanted) as session, pytest.raises(FrameError):
        shown.extend(session.ahead(coming, 1))
    assert [frame.index for frame in shown] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("options", [{"scale": 0.5}, {"scale": 1.0, "tile_pixels": 192 * 224, "overlap": 32}])
def test_large_frames_are_told_by_their_parts(
    shipped: Engine, watched: Watched, picture: Pictures, options: dict[str, Any]
) -> None:
    images = [picture(shift, size=(260, 390)) for shift in (0, 4, 10)]
    ahead(shipped, images, **options)
    parts = len(watched.bends) // 2
    assert (parts > 1) == ("tile_pixels" in options)
    for first, second in zip(watched.bends[:parts], watched.bends[parts:], strict=True):
        assert not first[:2].any()
        assert first[2:].any()
        assert second[:2].any()
        assert not second[2:].any()
