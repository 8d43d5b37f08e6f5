"""Whether a tracker knows when it has lost its target: absences, claims, calibration."""

from __future__ import annotations

import math

import numpy as np
import pytest
from framestate.bench.absences import Followed, returns
from framestate.bench.confidence import calibration, confidence_of, fit_scores

NAN = math.nan


def followed(overlap: list[float], says: str, score: list[float] | None = None) -> Followed:
    """``says`` has a letter a frame: t(racking), u(ncertain), l(ost)."""
    return Followed(
        np.array(overlap),
        np.array(score or [0.5] * len(overlap)),
        np.array([letter == "t" for letter in says]),
        np.array([letter == "l" for letter in says]),
    )


def test_returns_are_found_where_the_target_is_seen_and_said_to_be() -> None:
    assert returns(followed([0.9, NAN, NAN, 0.2, 0.8], "ttltt")) == [True]
    assert returns(followed([0.9, NAN, 0.8, 0.8], "ttll")) == [False]  # there, but not said
    assert returns(followed([0.9, NAN, 0.1, 0.2], "tltt")) == [False]  # said, but elsewhere
    assert returns(followed([0.9, NAN, 0.7, NAN, 0.0], "ttttt")) == [True, False]
    assert returns(followed([0.9, NAN, NAN], "tll")) == []  # never back
    late = [0.9, NAN] + [0.0] * 30 + [0.9]
    assert returns(followed(late, "t" * len(late))) == [False]
    assert returns(followed(late[:2] + late[3:], "t" * (len(late) - 1))) == [True]


def test_claims_are_counted_where_they_are_false() -> None:
    found = confidence_of([followed([0.9, NAN, NAN, NAN, 0.05, 0.8, 0.05], "ttlulll")])
    assert found["absent_frames"] == 3
    assert found["false_tracking"] == pytest.approx(1 / 3)
    assert found["lost_frames"] == 4
    assert found["lost_precision"] == pytest.approx(3 / 4)  # absent, missed, missed; one was right there
    assert found["lost_recall"] == pytest.approx(3 / 5)


def test_nothing_to_take_a_share_of_is_nan_not_zero() -> None:
    found = confidence_of([followed([0.9, 0.8], "tt")])
    assert math.isnan(found["false_tracking"])
    assert math.isnan(found["lost_precision"])
    assert math.isnan(found["lost_recall"])


def test_calibration_error_is_the_gap_between_score_and_share() -> None:
    exact = [0.9] * 10 + [0.3] * 10
    overlap = [0.8] * 9 + [0.0] + [0.8] * 3 + [0.0] * 7
    assert confidence_of([followed(overlap, "t" * 20, exact)])["ece"] == pytest.approx(0.0)
    timid = [0.5] * 20
    assert confidence_of([followed(overlap, "t" * 20, timid)])["ece"] == pytest.approx(0.1)  # 12 of 20 right
    silent = confidence_of([followed([0.8, 0.9], "tt", [NAN, NAN])])
    assert math.isnan(silent["ece"])
    assert silent["bins"] == []


@pytest.mark.parametrize(("slope", "offset"), [(1.0, 0.0), (2.3, 1.5), (0.6, -1.0)])
def test_the_fit_finds_how_scores_were_bent(slope: float, offset: float) -> None:
    rng = np.random.default_rng(3)
    logit = rng.normal(0, 1.5, 20000)
    right = rng.random(20000) < 1 / (1 + np.exp(-(slope * logit + offset)))
    found = fit_scores(1 / (1 + np.exp(-logit)), right)
    assert found == pytest.approx((slope, offset), abs=0.1)


def test_there_is_no_fit_where_all_is_right() -> None:
    assert all(map(math.isnan, fit_scores(np.array([0.2, 0.9]), np.array([True, True]))))


def test_the_last_bin_holds_certainty() -> None:
    assert calibration(np.array([1.0]), np.array([True])) == [(1.0, 1.0, 1)]
