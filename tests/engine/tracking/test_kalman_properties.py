"""What holds for every BoxFilter: bounded coasting, a gate that opens, sane numbers, exact snapshots."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from framestate.engine.codec import Codec
from framestate.engine.tracking.belief import MIN_SIDE, Belief
from framestate.engine.tracking.filter_options import GATE, FilterOptions
from framestate.engine.tracking.kalman import BoxFilter
from framestate.vision.box import Box
from hypothesis import given, settings
from hypothesis import strategies as st

from .followed import matrices

OPTIONS = FilterOptions()

coordinates = st.floats(-1e6, 1e6)
sides = st.floats(1e-3, 1e6)
boxes = st.builds(Box, coordinates, coordinates, sides, sides)
spreads = st.lists(st.one_of(st.floats(0, 1e9), st.just(math.inf)), min_size=4, max_size=4)
times = st.one_of(st.floats(0, 20), st.floats(0, 1e300))
actions = st.one_of(
    st.tuples(st.just("predict"), times),
    st.tuples(st.just("update"), boxes, spreads),
    st.tuples(st.just("observe"), boxes, spreads),
    st.tuples(st.just("coast")),
)


def _do(tracker: BoxFilter, action: tuple[object, ...]) -> None:
    name, *arguments = action
    getattr(tracker, str(name))(*arguments)


def _assert_sane(tracker: BoxFilter) -> None:
    mean, covariance = matrices(tracker)
    assert np.isfinite(mean).all()
    assert (mean[2:4] >= MIN_SIDE).all()
    assert np.isfinite(covariance).all()
    assert np.array_equal(covariance, covariance.T)
    np.linalg.cholesky(covariance)  # raises unless positive definite
    mixing = covariance.copy()
    for axis in range(4):
        mixing[np.ix_([axis, axis + 4], [axis, axis + 4])] = 0
    assert not mixing.any()  # the gate relies on it


@settings(max_examples=300, deadline=None)
@given(boxes, st.lists(actions, max_size=30))
def test_any_sequence_keeps_sizes_positive_and_the_covariance_sound(
    box: Box, steps: list[tuple[object, ...]]
) -> None:
    tracker = BoxFilter(box)
    _assert_sane(tracker)
    for step in steps:
        _do(tracker, step)
        _assert_sane(tracker)


@settings(max_examples=100, deadline=None)
@given(boxes, st.lists(actions, max_size=15), st.lists(actions, max_size=15))
def test_a_snapshot_continues_bit_for_bit(
    box: Box, before: list[tuple[object, ...]], after: list[tuple[object, ...]]
) -> None:
    original = BoxFilter(box)
    for step in before:
        _do(original, step)
    plain, arrays = Codec(Belief).write(original.belief)
    restored = BoxFilter.of(Codec(Belief).read(json.loads(json.dumps(plain)), arrays).check(), OPTIONS)
    for step in after:
        _do(original, step)
        _do(restored, step)
    assert original.belief == restored.belief


def test_what_a_filter_believed_stays_as_it_was() -> None:
    tracker = BoxFilter(Box(0.0, 0.0, 10.0, 10.0))
    saved = tracker.belief
    other = BoxFilter.of(saved, OPTIONS)
    for one in (tracker, other):
        one.predict()
        one.coast()
    assert saved.missed == 0
    assert saved.axes[0].vv == pytest.approx(1.0)


def _running(speed: float, side: float = 40.0) -> BoxFilter:
    """A filter that has learned a velocity of ``speed`` pixels a frame to the right."""
    tracker = BoxFilter(Box(0.0, 0.0, side, side))
    for step in range(1, 30):
        tracker.predict()
        tracker.update(Box(speed * step, 0.0, side, side), [1.0] * 4)
    return tracker


@pytest.mark.parametrize("speed", [2.0, 20.0, 200.0])
@pytest.mark.parametrize("dt", [1.0, 7.0])
def test_coasting_does_not_run_away(speed: float, dt: float) -> None:
    tracker = _running(speed)
    anchor, side = tracker.box.x, 40.0
    furthest = min(speed, OPTIONS.coast_distance * side) + OPTIONS.coast_distance * side
    for _ in range(500):
        box = tracker.predict(dt)
        tracker.coast()
        assert -1e-6 <= box.x - anchor <= furthest * 1.001
        assert side / OPTIONS.coast_scale - 1e-9 <= box.w <= side * OPTIONS.coast_scale + 1e-9
    assert abs(tracker.velocity[0]) < 1e-6
    assert tracker.missed == 500


def test_one_frame_of_its_own_motion_is_never_cut() -> None:
    tracker = _running(50.0)  # more than one size a frame
    assert tracker.predict().x == pytest.approx(50.0 * 30, rel=0.01)


def test_one_long_gap_is_bounded_as_well() -> None:
    tracker = _running(20.0)
    anchor = tracker.box.x
    assert tracker.predict(1e6).x - anchor <= (20.0 + 60.0) * 1.001


def test_velocity_stays_until_it_may_decay() -> None:
    tracker = _running(2.0)
    speed = tracker.velocity[0]
    for _ in range(OPTIONS.coast_frames):
        tracker.predict()
        tracker.coast()
    assert tracker.velocity[0] == speed
    tracker.predict()
    tracker.coast()
    assert tracker.velocity[0] == pytest.approx(speed * OPTIONS.coast_decay)


@pytest.mark.parametrize(("sizes", "within"), [(0.5, 6), (1.0, 8), (2.0, 11), (10.0, 40)])
def test_the_gate_opens_again_for_a_target_that_moved(sizes: float, within: int) -> None:
    tracker = _running(0.0)
    elsewhere = Box(40.0 * sizes, 0.0, 40.0, 40.0)
    assert tracker.gate(elsewhere, [1.0] * 4) > GATE
    for _ in range(within):
        tracker.predict()
        if tracker.observe(elsewhere, [1.0] * 4):
            break
    else:
        pytest.fail(f"still refused after {within} frames")
    assert tracker.box.iou(elsewhere) > 0.9
    tracker.predict()
    assert tracker.box.iou(elsewhere) > 0.5  # the jump was not taken for a velocity


def test_uncertainty_has_a_ceiling() -> None:
    tracker = _running(1.0)
    for _ in range(3000):
        tracker.predict(3.0)
        tracker.coast()
    cx, _, w, _ = tracker.std
    box = tracker.box
    assert cx <= OPTIONS.widest_position * math.sqrt(box.w * box.h) * (1 + 1e-9)
    assert w <= OPTIONS.widest_size * box.w * (1 + 1e-9)
    _assert_sane(tracker)
