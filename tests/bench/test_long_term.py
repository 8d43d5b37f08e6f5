"""Precision, recall and F of long-term tracking, against the sums written out frame by frame."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from framestate.bench.absences import TAKEN, Followed, search_cost, wrong_ones
from framestate.bench.confidence import confidence_of
from framestate.bench.long_term import curve_of, long_term, thresholds_of
from framestate.bench.sequences import load_sequence
from framestate.errors import DataError

NAN = math.nan


def by_hand(overlap: np.ndarray, score: np.ndarray, threshold: float) -> tuple[float, float]:
    """Precision and recall of one sequence, as the paper has them."""
    answered = [index for index in range(len(score)) if score[index] >= threshold]
    there = [index for index in range(len(score)) if not math.isnan(overlap[index])]
    shared = sum(overlap[index] for index in answered if index in there)
    return (shared / len(answered) if answered else 1.0), shared / len(there)


def made(seed: int, frames: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    overlap = np.where(rng.random(frames) < 0.3, NAN, rng.random(frames))
    score = np.where(rng.random(frames) < 0.2, -1.0, np.round(rng.random(frames), 2))  # many are equal
    overlap[0] = 0.5
    return overlap, score


@pytest.mark.parametrize("frames", [3, 50, 400])
def test_it_is_what_the_sums_written_out_give(frames: int) -> None:
    runs = [made(seed, frames + 7 * seed) for seed in range(3)]
    thresholds = thresholds_of(np.concatenate([score for _, score in runs]))
    each = np.array([[by_hand(*run, one) for one in thresholds] for run in runs])
    for run, expected in zip(runs, each, strict=True):
        assert pytest.approx(expected) == curve_of(*run, thresholds).T
    precision, recall = each.mean(0).T
    f = [2 * p * r / (p + r) if p + r else 0.0 for p, r in zip(precision, recall, strict=True)]
    found = long_term(runs)
    assert found.f == pytest.approx(max(f))
    assert (found.precision, found.recall) == pytest.approx((precision[np.argmax(f)], recall[np.argmax(f)]))
    assert found.curve[0] == pytest.approx((0, 1))  # above every score nothing is answered


def test_who_never_doubts_pays_in_precision() -> None:
    overlap = np.array([0.8, 0.8, NAN, NAN])
    bold, honest = (long_term([(overlap, np.array(score))]) for score in ([1.0] * 4, [0.9, 0.7, 0.2, -1.0]))
    assert (bold.precision, bold.recall) == pytest.approx((0.4, 0.8))
    assert (honest.precision, honest.recall, honest.threshold) == pytest.approx((0.8, 0.8, 0.7))
    assert honest.f > bold.f


def followed(overlap: list[float], says: str) -> Followed:
    letters = np.array(list(says))
    return Followed(np.array(overlap), np.full(len(says), 0.5), letters == "t", letters == "l")


def test_a_wrong_one_is_taken_where_it_is_followed_for_a_while() -> None:
    gone, there = [NAN] * TAKEN, [0.9] * 3
    assert wrong_ones(followed([0.9, *gone, *there], "t" + "t" * TAKEN + "ttt")) == [True]
    assert wrong_ones(followed([0.9, *gone, *there], "t" + "t" * (TAKEN - 1) + "lttt")) == [False]
    # it follows something else when the target is back, and finds that out too late, or never
    back = [0.9, NAN, *[0.0] * TAKEN, 0.9]
    assert wrong_ones(followed(back, "tl" + "t" * TAKEN + "t")) == [True]
    assert wrong_ones(followed([0.9, NAN, 0.9, *[0.0] * TAKEN], "tlt" + "t" * TAKEN)) == [False]
    assert wrong_ones(followed([0.9, 0.0, 0.9], "ttt")) == []  # never away
    assert wrong_ones(followed([0.9, *gone], "t" * (TAKEN + 1))) == [True]  # never back


def test_what_is_partly_in_view_is_not_hidden() -> None:
    run = followed([0.9, NAN, NAN], "ttt")
    half = Followed(run.overlap, run.score, run.tracks, run.lost, in_view=np.array([1.0, 0.2, 0.0]))
    assert (confidence_of([run])["hidden_frames"], confidence_of([half])["hidden_frames"]) == (2, 1)
    assert confidence_of([half])["false_hidden"] == 1.0


def test_a_search_is_timed_in_the_frames_after_a_lost_one() -> None:
    lost = np.array([False] * 50 + [True] * 50)
    seconds = np.where(np.arange(100) > 50, 0.007, 0.003)
    run = Followed(np.full(100, 0.9), np.full(100, 0.5), ~lost, lost, seconds)
    assert search_cost(run) == pytest.approx(4.0)
    assert math.isnan(search_cost(followed([0.9] * 100, "l" * 100)))


def test_shares_in_view_are_read_and_checked(tmp_path: Path) -> None:
    (tmp_path / "groundtruth.txt").write_text("1,1,5,5\nnan,nan,nan,nan\n2,2,5,5\n")
    (tmp_path / "video.mp4").write_bytes(b"")
    assert load_sequence(tmp_path).in_view is None
    (tmp_path / "visible.txt").write_text("1\n0\n0.5\n")
    shares = load_sequence(tmp_path).in_view
    assert shares is not None
    assert shares.tolist() == [1, 0, 0.5]
    for text in ("1\n0\n", "1\n0\n2\n", "1\n0\nhalf\n"):
        (tmp_path / "visible.txt").write_text(text)
        with pytest.raises(DataError, match=r"visible.txt .*"):
            load_sequence(tmp_path)
