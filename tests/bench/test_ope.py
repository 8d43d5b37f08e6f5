"""The tracking metrics against numbers worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from framestate.bench.ope import (
    THRESHOLDS,
    centre_errors,
    clip_to_image,
    mean_score,
    overlaps,
    precision,
    score_sequence,
    success_curve,
)
from framestate.errors import DataError
from framestate.vision.box import Box
from hypothesis import given
from hypothesis import strategies as st

NAN = math.nan
ABSENT = (NAN, NAN, NAN, NAN)
SQUARE = (10.0, 10.0, 10.0, 10.0)


def test_overlaps_by_hand() -> None:
    pairs = {
        (0, 0, 10, 10): 1.0,
        (5, 0, 10, 10): 50 / 150,
        (5, 5, 10, 10): 25 / 175,
        (0, 0, 5, 5): 0.25,
        (10, 0, 10, 10): 0.0,  # they only touch
        (30, 30, 4, 4): 0.0,
        (0, 0, -10, -10): 0.0,
        (0, 0, NAN, 10): 0.0,
        (-math.inf, 0, math.inf, 10): 0.0,
    }
    truth = np.tile([0.0, 0.0, 10.0, 10.0], (len(pairs), 1))
    assert overlaps(list(pairs), truth).tolist() == pytest.approx(list(pairs.values()), rel=1e-12)


sides = st.floats(0.1, 1e4)
places = st.floats(-1e4, 1e4)
boxes = st.tuples(places, places, sides, sides)


@given(boxes, boxes)
def test_overlaps_are_what_box_says(first: tuple[float, ...], second: tuple[float, ...]) -> None:
    value = overlaps([first], [second])[0]
    assert value == pytest.approx(Box(*first).iou(Box(*second)), abs=1e-12)
    assert value == overlaps([second], [first])[0]
    assert 0 <= value <= 1


def test_a_box_overlaps_itself_by_exactly_one() -> None:
    some = np.random.default_rng(0).uniform(1, 700, (1000, 4))
    assert (overlaps(some, some) <= 1).all()
    assert (overlaps(some, some) > 1 - 1e-12).all()


def test_centre_errors_by_hand() -> None:
    errors = centre_errors([(0, 0, 10, 10), (3, 4, 10, 10), (0, 0, 4, 4), ABSENT], [(0, 0, 10, 10)] * 4)
    assert errors.tolist() == pytest.approx([0.0, 5.0, math.hypot(3, 3), math.inf])


def test_clipping_cuts_what_lies_outside() -> None:
    clipped = clip_to_image([(-5, -5, 10, 10), (95, 40, 10, 20), (200, 0, 5, 5), ABSENT], 100, 50)
    assert clipped[0].tolist() == [0, 0, 5, 5]
    assert clipped[1].tolist() == [95, 40, 5, 10]
    assert clipped[2].tolist() == [100, 0, 0, 5]
    assert np.isnan(clipped[3]).all()


def test_success_is_strictly_above_each_threshold() -> None:
    assert THRESHOLDS[0] == 0
    assert THRESHOLDS[10] == 0.5
    assert THRESHOLDS[20] == 1
    assert len(THRESHOLDS) == 21
    curve = success_curve(np.array([0.0, 0.5, 1.0, 0.15]))
    assert curve[0] == 0.75  # an overlap of 0 is not above 0
    assert curve[2] == 0.75
    assert curve[3] == 0.5  # nor 0.15 above 0.15
    assert curve[9] == 0.5
    assert curve[10] == 0.25
    assert curve[20] == 0.0


def test_precision_includes_exactly_twenty_pixels() -> None:
    assert precision(np.array([0.0, 20.0, 20.001, math.inf])) == 0.5


def test_a_perfect_tracker_has_twenty_of_twenty_one() -> None:
    truth = np.array([SQUARE] * 5)
    score = score_sequence(truth, truth, width=100, height=100)
    assert score.auc == pytest.approx(20 / 21)
    assert (score.precision20, score.ao, score.success_rate(0.5), score.success_rate(0.75)) == (1, 1, 1, 1)


def test_a_sequence_by_hand() -> None:
    truth = np.array([SQUARE, SQUARE, SQUARE, ABSENT, SQUARE, SQUARE])
    predicted = np.array(
        [
            [90.0, 90.0, 5.0, 5.0],  # never looked at: the tracker was told
            [15.0, 10.0, 10.0, 10.0],  # overlap 1/3
            [10.0, 10.0, 10.0, 8.0],  # overlap 0.8
            [10.0, 10.0, 10.0, 10.0],  # the target is absent
            [50.0, 50.0, 10.0, 10.0],  # overlap 0, 56.6 px away
            [10.0, 10.0, 10.0, 10.0],  # overlap 1
        ]
    )
    score = score_sequence(predicted, truth, width=100, height=100)
    # Overlaps 1/3, 0.8, 0, 1: three of four lie above 0 to 0.3, two above 0.35 to 0.75, one above 0.8 to 0.95
    assert score.auc == pytest.approx((7 * 0.75 + 9 * 0.5 + 4 * 0.25) / 21)
    assert score.precision20 == 0.75
    assert score.got_overlaps.tolist() == pytest.approx([1 / 3, 0.8, 0.0, 1.0])
    assert score.ao == pytest.approx((1 / 3 + 0.8 + 1) / 4)
    assert score.success_rate(0.5) == 0.5
    assert score.success_rate(0.8) == 0.25  # 0.8 is not above 0.8


def test_got10k_compares_only_what_is_in_the_image() -> None:
    truth = np.array([SQUARE, [-10.0, 0.0, 20.0, 20.0]])
    predicted = np.array([SQUARE, [0.0, 0.0, 10.0, 20.0]])
    score = score_sequence(predicted, truth, width=100, height=100)
    assert score.ao == 1.0
    assert score.success[9:11] == (1.0, 0.0)  # OPE compares the whole boxes: exactly 0.5


def test_a_frame_without_an_answer_is_a_miss() -> None:
    score = score_sequence([SQUARE, ABSENT, SQUARE], [SQUARE] * 3, width=100, height=100)
    assert score.success[0] == 0.5
    assert score.precision20 == 0.5
    assert score.ao == 0.5


def test_ope_averages_sequences_and_got10k_pools_frames() -> None:
    good = score_sequence([SQUARE] * 2, [SQUARE] * 2, width=100, height=100)
    away = [[80.0, 80.0, 5.0, 5.0]] * 4
    bad = score_sequence(away, [SQUARE] * 4, width=100, height=100)
    mean = mean_score([good, bad])
    assert mean.success[0] == pytest.approx((1 + 0) / 2)
    assert mean.precision20 == pytest.approx((1 + 0) / 2)
    assert mean.auc == pytest.approx((good.auc + bad.auc) / 2)
    assert mean.ao == pytest.approx(1 / 4)  # one frame of four, not half of two sequences


@pytest.mark.parametrize(
    ("predicted", "truth"),
    [
        ([SQUARE], [SQUARE, SQUARE]),
        ([(1.0, 2.0)], [(1.0, 2.0)]),
        ([SQUARE] * 2, [ABSENT, SQUARE]),
        ([SQUARE] * 2, [SQUARE, ABSENT]),
        ([SQUARE], [SQUARE]),
    ],
)
def test_what_cannot_be_scored_is_refused(
    predicted: list[tuple[float, ...]], truth: list[tuple[float, ...]]
) -> None:
    with pytest.raises(DataError):
        score_sequence(predicted, truth, width=10, height=10)


def test_no_sequences_have_no_mean() -> None:
    with pytest.raises(DataError, match="no sequence"):
        mean_score([])
