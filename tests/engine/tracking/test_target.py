"""What is believed of a target: statuses, coasting, the search area, and taking a step back."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from framestate.bundles import JSON, Bundle
from framestate.engine.tracking import FilterOptions, TrackingOptions
from framestate.engine.tracking.measurement import Measurement
from framestate.engine.tracking.options import Crop
from framestate.errors import FrameError, OptionError
from framestate.vision import Box, Frame
from framestate.wire.answers import STATUSES

from .followed import Followed

OPTIONS = TrackingOptions(
    sure=0.5, seen=0.2, override=0.9, lost_after=3, growth=1.5, widest=2.0, size_floor=0.5, size_ceiling=1.0
)
START = Box.from_centre(50, 40, 20, 10)
IMAGE = np.zeros((80, 100, 3), np.uint8)


def at(index: int, image: np.ndarray = IMAGE) -> Frame:
    return Frame(image, index, Fraction(1, 25), index)


def seen(score: float, box: Box = START, std: float = 1.0) -> Measurement:
    return Measurement(box, score, (std, std, std, std))


def moved(memory: Followed, frame: int, measured: Measurement) -> Followed:
    return memory.moved(at(frame), measured)


@pytest.fixture
def memory() -> Followed:
    return Followed(at(0), START, OPTIONS)


@pytest.mark.parametrize(
    ("score", "status", "unseen"),
    [
        (0.9, "tracking", 0),
        (0.5, "tracking", 0),
        (0.49, "uncertain", 0),
        (0.2, "uncertain", 0),
        (0.19, "uncertain", 1),
    ],
)
def test_the_status_follows_the_score(memory: Followed, score: float, status: str, unseen: int) -> None:
    moved(memory, 1, seen(score))
    assert (memory.status, memory.unseen) == (status, unseen)
    assert memory.score == score


def test_lost_after_some_frames_and_found_by_a_sure_one(memory: Followed) -> None:
    statuses = [moved(memory, frame, seen(0.1)).status for frame in range(1, 5)]
    assert statuses == ["uncertain", "uncertain", "lost", "lost"]
    assert moved(memory, 5, seen(0.3)).status == "lost"  # enough for a target in view, not for a lost one
    assert moved(memory, 6, seen(0.5)).status == "tracking"
    assert memory.unseen == 0


def test_a_leap_is_refused_unless_the_model_is_very_sure(memory: Followed) -> None:
    far = Box.from_centre(90, 70, 20, 10)
    moved(memory, 1, seen(0.8, far))
    assert memory.unseen == 1
    assert memory.box.centre == pytest.approx((50, 40), abs=1)
    assert moved(memory, 2, seen(0.95, far)).status == "tracking"
    assert memory.box.centre == pytest.approx((90, 70))


def test_the_search_area_grows_while_lost_up_to_a_bound(memory: Followed) -> None:
    growths = []
    for frame in range(1, 8):
        growths.append(memory.predict(at(frame))[1])
        memory.observe(seen(0.0))
    assert growths == [1, 1, 1, 1, 1.5, 2.0, 2.0]
    memory.predict(at(8))
    memory.observe(seen(0.9))
    assert memory.predict(at(9))[1] == 1


def test_while_lost_the_search_stays_where_the_target_was_believed(memory: Followed) -> None:
    for frame in range(1, 4):
        moved(memory, frame, seen(0.9, Box.from_centre(50 + 4 * frame, 40, 20, 10)))
    for frame in range(4, 12):
        moved(memory, frame, seen(0.0))
    believed = memory.box
    assert memory.status == "lost"
    places = []
    for frame in range(12, 20):
        places.append(memory.predict(at(frame))[0].centre)
        memory.observe(seen(0.0))
    assert all(place == pytest.approx(believed.centre) for place in places)
    assert memory.box == believed


def test_the_crop_lies_where_the_option_says() -> None:
    """A target that moves by 4 pixels a frame: the filter learns that; "last" does not look ahead."""
    ahead = {}
    crops: tuple[Crop, ...] = ("predicted", "last")
    for crop in crops:
        memory = Followed(at(0), START, replace(OPTIONS, crop=crop))
        for frame in range(1, 10):
            moved(memory, frame, seen(0.95, Box.from_centre(50 + 4 * frame, 40, 20, 10)))
        last = memory.box
        ahead[crop] = memory.predict(at(10))[0].centre[0] - last.centre[0]
    assert ahead["last"] == 0
    assert ahead["predicted"] == pytest.approx(4, abs=1)


def test_size_moves_with_the_models_sureness(memory: Followed) -> None:
    twice = Box.from_centre(50, 40, 40, 20)
    moved(memory, 1, seen(1.0, twice, std=100))
    assert (memory.box.w, memory.box.h) == pytest.approx((40, 20))
    other = Followed(at(0), START, OPTIONS)
    moved(other, 1, seen(0.6, twice, std=100))
    share = 0.5 + 0.5 * 0.6**2
    assert (other.box.w, other.box.h) == pytest.approx((20 + share * 20, 10 + share * 10))


def test_a_box_never_outgrows_its_frame_nor_leaves_it(memory: Followed) -> None:
    moved(memory, 1, seen(1.0, Box.from_centre(300, -50, 500, 300), std=1e3))
    assert (memory.box.w, memory.box.h) == (100, 80)
    assert memory.box.centre == (100, 0)
    assert memory.predict(at(2))[0].centre[0] <= 100


def test_frames_are_checked_before_anything_moves(memory: Followed) -> None:
    for frame, problem in (
        (at(1, np.zeros((80, 101, 3), np.uint8)), "frame 1 is 101x80, the first was 100x80"),
        (at(0), "at 0.0000 s, the last one at 0.0000 s"),
    ):
        with pytest.raises(FrameError, match=problem):
            memory.clock.check(frame)
    memory.clock.check(at(1))


def test_a_step_is_taken_back_whole(memory: Followed) -> None:
    moved(memory, 1, seen(0.8, Box.from_centre(52, 41, 22, 11)))
    saved, kept = memory.memory, memory.kept
    twin = Followed(at(0), START, OPTIONS)
    moved(twin, 1, seen(0.8, Box.from_centre(52, 41, 22, 11)))
    for frame, score in ((2, 0.9), (3, 0.0), (4, 0.0), (5, 0.0), (6, 0.0)):
        moved(memory, frame, seen(score))
    memory.memory = saved
    assert memory.kept == kept, "nothing that came after has changed it"
    for frame, score in ((2, 0.7), (3, 0.1), (4, 0.6)):
        measured = seen(score, Box.from_centre(50 + frame, 40, 20, 10))
        moved(memory, frame, measured)
        moved(twin, frame, measured)
    assert memory.box == twin.box
    assert memory.kept == twin.kept


def test_a_refresh_is_due_after_its_frames_when_sure() -> None:
    memory = Followed(at(0), START, replace(OPTIONS, refresh_every=3, refresh_sure=0.7))
    assert not moved(memory, 1, seen(0.8)).wants_refresh, "no first view is kept to blend with"
    memory.memory = replace(memory.memory, first_view=np.zeros(3, np.uint8), since_refresh=0)
    wants = [moved(memory, frame, seen(0.8)).wants_refresh for frame in range(2, 6)]
    assert wants == [False, False, True, True]
    assert not moved(memory, 6, seen(0.6)).wants_refresh
    assert not moved(memory, 7, seen(0.1)).wants_refresh
    assert moved(memory, 8, seen(0.9)).wants_refresh


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"crop": "next"}, "crop is 'next'"),
        ({"window": 1.5}, "window is 1.5"),
        ({"sure": -0.1}, "sure is -0.1"),
        ({"carry": float("nan")}, "carry is nan"),
        ({"seen": 0.5, "sure": 0.4}, r"seen \(0.5\) is above sure \(0.4\)"),
        ({"growth": 0.9}, "growth 0.9"),
        ({"widest": 0.5}, "widest 0.5"),
        ({"lost_after": 0}, "frame count or rate"),
        ({"refresh_every": -1}, "frame count or rate"),
        ({"sweep_after": -1}, "frame count or rate"),
        ({"sweep_sure": 1.01}, "sweep_sure is 1.01"),
        ({"reference_rate": 0.0}, "frame count or rate"),
    ],
)
def test_thresholds_that_cannot_be(options: dict[str, Any], problem: str) -> None:
    with pytest.raises(OptionError, match=problem):
        TrackingOptions(**options)


def test_a_model_brings_its_own_thresholds(tiny_bundle: Bundle) -> None:
    spec = tiny_bundle.spec
    assert TrackingOptions.from_spec(spec) == TrackingOptions()
    tuned: dict[str, JSON] = {"sure": 0.4, "lost_after": 5, "filter": {"gate": 12.0}}
    found = TrackingOptions.from_spec(replace(spec, preprocess={**spec.preprocess, "options": tuned}))
    assert found == TrackingOptions(sure=0.4, lost_after=5, filter=FilterOptions(gate=12.0))
    faults: list[tuple[JSON, str]] = [
        ({"certain": 0.4}, "cannot be used.*known options"),
        ({"sure": "high"}, "cannot be used"),
        ({"filter": {"door": 1}}, "cannot be used"),
        ({"sure": 2.0}, "sure is 2.0"),
        ([0.4], "must be a table"),
    ]
    for wrong, problem in faults:
        with pytest.raises(OptionError, match=problem):
            TrackingOptions.from_spec(replace(spec, preprocess={**spec.preprocess, "options": wrong}))


def test_the_score_of_a_track_is_the_chance_that_the_recipe_fitted() -> None:
    plain = TrackingOptions()
    assert [plain.chance(score) for score in (0.0, 0.3, 1.0)] == [0.0, 0.3, 1.0]
    bent = TrackingOptions(score_slope=2.0, score_offset=1.0)
    assert bent.chance(0.5) == pytest.approx(1 / (1 + math.exp(-1)))
    chances = [bent.chance(score) for score in np.linspace(0, 1, 101)]
    assert all(0 <= one <= other <= 1 for one, other in pairwise(chances))


def test_what_is_lost_is_hardly_right_whatever_its_score() -> None:
    options = TrackingOptions(score_offset=1.0, score_uncertain=-2.0, score_lost=-4.0)
    logits = [math.log(one / (1 - one)) for one in (options.chance(0.5, status) for status in STATUSES)]
    assert logits == pytest.approx([1.0, -1.0, -3.0])


@pytest.mark.parametrize(
    "values",
    [{"score_slope": 0.0}, {"score_slope": -1.0}, {"score_offset": math.nan}, {"score_lost": -math.inf}],
)
def test_a_fit_that_turns_scores_over_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(OptionError, match="score_slope"):
        TrackingOptions(**values)
