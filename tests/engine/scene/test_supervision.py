"""A scene's answer with supervision's own annotators and zones."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from framestate.engine import Engine
from framestate.engine.scene import Detections, Scene, SceneOptions

from .conftest import SIZE, Watched

supervision = pytest.importorskip("supervision", reason="supervision is not installed: framestate[bench]")
OpenEngine = Callable[..., Engine]


def test_there_and_back(open_scenes_engine: OpenEngine, scenes: list[Watched]) -> None:
    moment, found = scenes[0][0]
    assert found is not None
    x, y, w, h = found.boxes.T
    theirs = supervision.Detections(
        xyxy=np.stack([x, y, x + w, y + h], axis=1),
        confidence=found.scores,
        class_id=np.arange(len(found)) % 2,
        data={"class_name": np.array(["koi", "leaf"])[np.arange(len(found)) % 2]},
    )
    read = Detections.of(theirs)
    assert read.boxes == pytest.approx(found.boxes)
    assert set(read.labels) == {"koi", "leaf"}
    with Scene(open_scenes_engine(), SceneOptions(open_score=0.2)) as scene:
        answer = scene.update(moment.frame, theirs)
        shown = answer.to_supervision()
        assert shown.tracker_id.tolist() == [one.id for one in answer]
        assert shown.xyxy == pytest.approx(np.array([one.box.xyxy for one in answer]), abs=1e-3)
        assert shown.data["class_name"].tolist() == [one.label for one in answer]
        assert [["koi", "leaf"][one] for one in shown.class_id] == [one.label for one in answer]
        picture = moment.frame.image.copy()
        drawn = supervision.BoxAnnotator().annotate(picture.copy(), shown)
        assert not np.array_equal(drawn, picture)
        everywhere = supervision.PolygonZone(np.array([[0, 0], [SIZE[0], 0], list(SIZE), [0, SIZE[1]]]))
        assert everywhere.trigger(shown).any()
        empty = scene.update(scenes[0][1][0].frame, [])
        assert len(empty.to_supervision()) == len(empty)
