"""Scenes as MOTChallenge keeps them, made detections, scores, and peers on the same detections."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from framestate.bench.evaluate_scenes import evaluate_scenes, peer_of
from framestate.bench.made_scenes import drawn_background, drawn_cutouts, made_scene, write_scene
from framestate.bench.scene_peers import CLASSES, open_scene_peer
from framestate.bench.scene_scores import open_metrics, score_scenes
from framestate.bench.scenes import Noise, load_scenes, read_mot, scaled
from framestate.errors import DataError, OptionError

SIZE = 160, 120
NONE = Noise(0.0, 0.0, 0.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one made scene of four objects."""
    root = tmp_path_factory.mktemp("scenes")
    moments = made_scene(drawn_cutouts(3, 3), drawn_background(3, SIZE), seed=3, objects=4, frames=12)
    write_scene(root / "made", moments, SIZE)
    return root


def test_made_scenes_are_the_same_again_and_boxes_hold_their_objects(folder: Path) -> None:
    (scene,) = load_scenes(folder)
    again = list(made_scene(drawn_cutouts(3, 3), drawn_background(3, SIZE), seed=3, objects=4, frames=12))
    assert len(scene) == len(list(scene.frames())) == 12
    for moment, ids, boxes in zip(again, scene.ids, scene.boxes, strict=True):
        assert moment.ids.tolist() == ids.tolist()
        assert moment.boxes == pytest.approx(boxes, abs=1e-3)
        assert (boxes[:, 2:] > 0).all()


def test_the_truth_scores_everything_and_nothing_scores_nothing(folder: Path) -> None:
    scenes = load_scenes(folder)
    true = {one.name: list(zip([ids.tolist() for ids in one.ids], one.boxes, strict=True)) for one in scenes}
    _, whole = score_scenes(scenes, true, open_metrics())
    assert (whole.hota, whole.mota, whole.idf1) == pytest.approx((100, 100, 100))
    assert (whole.switches, whole.false, whole.missed) == (0, 0, 0)
    nothing: dict[str, Any] = {one.name: [([], np.zeros((0, 4)))] * len(one) for one in scenes}
    _, none = score_scenes(scenes, nothing, open_metrics())
    assert none.hota == pytest.approx(0)
    assert none.missed == sum(len(ids) for ids in scenes[0].ids)


def test_made_detections_miss_and_shake_as_told(folder: Path) -> None:
    (scene,) = load_scenes(folder)
    exact = scene.detections(5, NONE)
    assert exact.boxes == pytest.approx(scene.boxes[5])
    same = [scene.detections(5, Noise()).boxes for _ in range(2)]
    assert np.array_equal(same[0], same[1])
    assert not np.array_equal(same[0], scene.detections(6, Noise()).boxes)
    assert len(scene.detections(5, Noise(1.0, 0.0, 0.0))) == 0
    assert len(scene.detections(5, Noise(0.0, 0.0, 5.0))) > len(exact)


def test_peers_follow_what_they_are_shown(folder: Path) -> None:
    scenes = load_scenes(folder)
    trackers = {name: peer_of(open_scene_peer(name)) for name in ("sort", "bytetrack")}
    rows = evaluate_scenes(scenes, trackers, [1, 4], NONE)
    assert [(row.tracker, row.every) for row in rows] == [
        ("bytetrack", 1), ("bytetrack", 4), ("sort", 1), ("sort", 4),
    ]  # fmt: skip
    often = {row.tracker: row.scores for row in rows if row.every == 1}
    rarely = {row.tracker: row.scores for row in rows if row.every == 4}
    for name in trackers:
        assert often[name].hota > rarely[name].hota
    assert all(row.looks is None and row.fps > 0 for row in rows)
    with pytest.raises(OptionError, match="known"):
        open_scene_peer("nobody")
    assert set(CLASSES) >= set(trackers)


def test_scores_that_are_no_shares_become_some() -> None:
    rows = np.array([[1, -1, 0, 0, 5, 5, score] for score in (10.0, 50.0, 135.0)])
    assert scaled(rows)[:, 6].tolist() == pytest.approx([0.12, 0.6, 1.0])
    shares = np.array([[1, -1, 0, 0, 5, 5, 0.3]])
    assert scaled(shares)[:, 6].tolist() == [0.3]


@pytest.mark.parametrize(
    ("name", "text"),
    [("gt.txt", "1,2,3\n"), ("gt.txt", "a,b\n"), ("gt.txt", ""), ("gt.txt", "1,1,0,0,5,5,0\n")],
)
@pytest.mark.filterwarnings("ignore:loadtxt:UserWarning")
def test_scenes_that_cannot_be_used_are_refused(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / name).write_text(text)
    with pytest.raises(DataError):
        load_scenes(tmp_path)
    (tmp_path / "one" / "video.mp4").touch()
    with pytest.raises(DataError):
        load_scenes(tmp_path)
    with pytest.raises(DataError):
        load_scenes(tmp_path, ["two"])
    with pytest.raises(DataError):
        read_mot(tmp_path / "nothing", 6)
