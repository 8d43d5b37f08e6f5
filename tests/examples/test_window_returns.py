"""examples/window_returns.py: a target that leaves a window and returns, with what is seen of it."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
from framestate.bench.absences import Followed, returns
from framestate.bench.sequences import TrackingSequence, load_sequences
from framestate.vision import VideoWriter
from framestate.vision.synthetic import Scene


def test_a_window_shows_what_is_inside(example: ModuleType) -> None:
    truth = np.array([[10.0, 10, 20, 20], [40, 10, 20, 20], [48, 10, 20, 20], [90, 10, 20, 20], [np.nan] * 4])
    still = np.zeros(5, np.int64)
    window = example.seen_through(truth, 50, 40, still, still)
    np.testing.assert_allclose(window.in_view, [1, 0.5, 0.1, 0, 0])
    np.testing.assert_allclose(window.boxes[:2], [[10, 10, 20, 20], [40, 10, 10, 20]])
    assert np.isnan(window.boxes[2:]).all()
    moved = example.seen_through(truth, 50, 40, still + 40, still)
    np.testing.assert_allclose(moved.boxes[2], [8, 10, 20, 20])


def test_short_clips_go_to_and_fro(example: ModuleType) -> None:
    order = example.shown(5)
    assert order[:12].tolist() == [0, 1, 2, 3, 4, 3, 2, 1, 0, 1, 2, 3]
    assert set(np.abs(np.diff(order))) == {1}
    assert example.LEAST <= len(order) <= example.MOST
    assert example.shown(1000).tolist() == list(range(example.MOST))


def test_sequences_with_returns_are_written(example: ModuleType, tmp_path: Path) -> None:
    scene = Scene(0, 40, (160, 96))
    with VideoWriter(tmp_path / "clip.mp4", 160, 96, rate=25) as video:
        for index in range(40):
            video.write(scene.render(index))
    truth = np.array([scene.box(index).xywh for index in range(40)], np.float64)
    clip = TrackingSequence("clip", tmp_path / "clip.mp4", truth)
    made = example.windows_of(clip, tmp_path / "out", 2, np.random.default_rng(0))
    assert made == 2
    for sequence in load_sequences(tmp_path / "out"):
        assert sequence.in_view is not None
        absent = np.isnan(sequence.truth[:, 0])
        doubtful = np.isclose(
            sequence.in_view, example.GONE, atol=1e-3
        )  # shares are written with three digits
        assert ((absent == (sequence.in_view < example.GONE)) | doubtful).all()
        nothing = np.zeros(len(absent), bool)
        run = Followed(np.where(absent, np.nan, 0.9), np.ones(len(absent)), ~nothing, nothing)
        assert any(returns(run))
        assert sum(1 for _ in sequence.frames()) == len(sequence)
