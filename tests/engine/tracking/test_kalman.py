"""What a BoxFilter computes: known answers, time, the gate, and errors."""

from __future__ import annotations

import copy
import math
from typing import Any

import numpy as np
import pytest
from framestate.engine.codec import Codec
from framestate.engine.tracking.belief import Belief
from framestate.engine.tracking.filter_options import GATE, FilterOptions
from framestate.engine.tracking.kalman import BoxFilter, nominal_steps
from framestate.errors import BoxError, FrameError, OptionError, StateError, StepError
from framestate.vision.box import Box

from .followed import matrices

START = Box(100.0, 200.0, 100.0, 100.0)  # centre 150, 250; every unit is 100 px


def test_a_first_prediction_leaves_the_box_where_it_was() -> None:
    assert BoxFilter(START).predict() == START


def test_prediction_and_update_by_hand() -> None:
    # First std: centre 2 * 100 / 20 = 10 px, velocity 10 * 100 / 160 = 6.25 px a frame.
    # One frame: variance 10^2 + 6.25^2 + 5^2 + 0.625^2 / 3, covariance with velocity 6.25^2 + 0.625^2 / 2.
    tracker = BoxFilter(START)
    tracker.predict()
    variance, mixed = 164.19270833333334, 39.2578125
    assert tracker.std == pytest.approx((math.sqrt(variance),) * 4, rel=1e-12)

    measured = Box.from_centre(160.0, 250.0, 100.0, 100.0)
    spread = variance + 8.0**2
    assert tracker.gate(measured, [8.0] * 4) == pytest.approx(10.0**2 / spread, rel=1e-12)

    tracker.update(measured, [8.0] * 4)
    assert tracker.box.centre == pytest.approx((150.0 + 10.0 * variance / spread, 250.0), rel=1e-12)
    assert tracker.velocity == pytest.approx((10.0 * mixed / spread, 0.0, 0.0, 0.0), rel=1e-12)
    assert tracker.std[0] == pytest.approx(math.sqrt(variance * 64.0 / spread), rel=1e-12)


def test_measurement_noise_is_held_between_floor_and_ceiling() -> None:
    tracker = BoxFilter(START)
    seen = Box.from_centre(155.0, 250.0, 100.0, 100.0)
    assert tracker.gate(seen, [0.0] * 4) == tracker.gate(seen, [1.0] * 4)
    assert tracker.gate(seen, [math.inf] * 4) == tracker.gate(seen, [50.0] * 4)
    assert tracker.gate(seen, [1.0] * 4) > tracker.gate(seen, [20.0] * 4) > tracker.gate(seen, [50.0] * 4)


def test_each_axis_has_its_own_uncertainty() -> None:
    tracker = BoxFilter(START)
    tracker.predict()
    tracker.update(Box.from_centre(160.0, 260.0, 110.0, 110.0), [1.0, 50.0, 1.0, 50.0])
    (cx, cy), box = tracker.box.centre, tracker.box
    assert cx - 150.0 > 5 * (cy - 250.0) > 0
    assert box.w - 100.0 > 5 * (box.h - 100.0) > 0


def test_noise_of_the_centre_is_shared_and_noise_of_the_size_is_per_side() -> None:
    cx, cy, w, h = BoxFilter(Box(0.0, 0.0, 40.0, 10.0)).std
    assert (cx, cy, w, h) == pytest.approx((2.0, 2.0, 4.0, 1.0))


def test_a_constant_velocity_is_learned_and_predicted() -> None:
    tracker = BoxFilter(START)
    for step in range(1, 40):
        tracker.predict()
        tracker.update(Box.from_centre(150.0 + 6.0 * step, 250.0 - 3.0 * step, 100.0, 100.0), [2.0] * 4)
    assert tracker.velocity == pytest.approx((6.0, -3.0, 0.0, 0.0), abs=0.01)
    assert tracker.predict(4.0).centre == pytest.approx((150.0 + 6.0 * 43, 250.0 - 3.0 * 43), abs=0.1)


def _moving() -> BoxFilter:
    tracker = BoxFilter(Box(50.0, 60.0, 40.0, 90.0))
    for step in range(1, 6):
        tracker.predict()
        tracker.update(Box(50.0 + 2.0 * step, 60.0 + step, 40.0, 90.0), [1.0, 1.0, 2.0, 2.0])
    return tracker


@pytest.mark.parametrize("cuts", [[0.5, 0.5], [0.25, 0.75], [0.1] * 10, [0.0, 1.0]])
def test_how_a_gap_is_cut_does_not_matter(cuts: list[float]) -> None:
    whole, cut = _moving(), _moving()
    whole.predict(1.0)
    for dt in cuts:
        cut.predict(dt)
    for found, expected, close in zip(matrices(cut), matrices(whole), (1e-12, 1e-9), strict=True):
        np.testing.assert_allclose(found, expected, rtol=close, atol=close)


def test_a_longer_gap_is_less_certain_and_moves_further() -> None:
    short, long = _moving(), _moving()
    origin = short.box.x
    short.predict(1.0)
    long.predict(3.0)
    assert long.box.x - origin == pytest.approx(3 * (short.box.x - origin), rel=1e-9)
    assert all(a > b for a, b in zip(long.std, short.std, strict=True))


def test_nominal_steps_turns_seconds_into_frames() -> None:
    assert nominal_steps(0.1, 25.0) == pytest.approx(2.5)


def test_observe_accepts_within_the_gate_and_coasts_beyond_it() -> None:
    tracker = _moving()
    predicted = tracker.predict()
    assert tracker.observe(Box(predicted.x + 0.5, predicted.y, predicted.w, predicted.h), [1.0] * 4)
    assert tracker.missed == 0
    predicted = tracker.predict()
    far = Box(predicted.x + 200.0, predicted.y, predicted.w, predicted.h)
    assert tracker.gate(far, [1.0] * 4) > GATE
    assert not tracker.observe(far, [1.0] * 4)
    assert tracker.missed == 1
    assert tracker.box == predicted


def test_the_gate_is_an_option() -> None:
    tracker = BoxFilter(START, FilterOptions(gate=1e9))
    tracker.predict()
    assert tracker.observe(Box(900.0, 900.0, 20.0, 20.0), [1.0] * 4)


@pytest.mark.parametrize("dt", [-1.0, math.nan, math.inf])
def test_time_does_not_run_backwards(dt: float) -> None:
    tracker = _moving()
    before = tracker.belief
    with pytest.raises(FrameError, match="order of their pts"):
        tracker.predict(dt)
    assert tracker.belief == before


@pytest.mark.parametrize(
    "box",
    [Box(math.nan, 0, 1, 1), Box(0, math.inf, 1, 1), Box(0, 0, 0, 5), Box(0, 0, 5, -1), Box(0, 2e6, 5, 5)],
)
def test_unusable_boxes_are_refused(box: Box) -> None:
    with pytest.raises(BoxError):
        BoxFilter(box)
    tracker = _moving()
    with pytest.raises(BoxError):
        tracker.update(box, [1.0] * 4)


@pytest.mark.parametrize(
    "std",
    [
        [1.0] * 3,
        1.0,
        *(
            [one if place == where else 0.0 for place in range(4)]
            for where in range(4)
            for one in (-0.5, math.nan)
        ),
    ],
)
def test_unusable_uncertainties_are_refused(std: list[float] | float) -> None:
    tracker = _moving()
    with pytest.raises(StepError, match="standard deviations"):
        tracker.update(START, std)
    with pytest.raises(StepError, match="standard deviations"):
        tracker.gate(START, std)


@pytest.mark.parametrize(
    "changes",
    [
        {"position_std": 0.0},
        {"velocity_std": math.nan},
        {"coast_frames": -1},
        {"coast_decay": 1.1},
        {"coast_scale": 0.9},
        {"inflation": 0.5},
        {"measurement_floor": 0.6},
    ],
)
def test_options_are_checked(changes: dict[str, float]) -> None:
    with pytest.raises(OptionError):
        FilterOptions(**changes)  # type: ignore[arg-type]


PLAIN, _ = Codec(Belief).write(_moving().belief)


def _broken(*where: int, value: object) -> Any:
    """A belief as a snapshot holds it, with one value changed."""
    plain = copy.deepcopy(PLAIN)
    part = plain
    for place in where[:-1]:
        part = part[place]
    part[where[-1]] = value
    return plain


@pytest.mark.parametrize(
    "plain",
    [
        {},
        [],
        [*PLAIN, 0],
        _broken(0, value=PLAIN[0][:3]),
        _broken(0, 0, value=PLAIN[0][0][:4]),
        _broken(0, 0, 0, value=math.nan),
        _broken(0, 2, 0, value=0.0),
        _broken(0, 3, 0, value="10"),
        _broken(0, 0, 0, value=True),
        _broken(0, 1, 2, value=-1.0),
        _broken(0, 1, 4, value=0.0),
        _broken(0, 1, 3, value=1e6),
        _broken(0, 1, 2, value=1e300),
        _broken(1, value=[0.0, 0.0, 5.0, 5.0]),
        _broken(1, 4, value=-1.0),
        _broken(1, 2, value=0.5),
        _broken(2, value=0.5),
        _broken(2, value=-1),
    ],
)
def test_an_impossible_belief_is_refused(plain: Any) -> None:
    with pytest.raises(StateError, match="undamaged copy"):
        Codec(Belief).read(plain, {}).check()


def test_the_beliefs_above_start_from_one_that_is_taken() -> None:
    assert Codec(Belief).read(copy.deepcopy(PLAIN), {}).check() == _moving().belief
