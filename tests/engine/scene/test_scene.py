"""Many targets in one video: as if each scene were alone, moved whole, with ids that stay."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from framestate.bundles import Bundle
from framestate.engine import Engine
from framestate.engine.scene import Detections, Scene, SceneOptions
from framestate.errors import BoxError, CapacityError, FrameError, OptionError, SessionError, StateError
from framestate.vision import Box, Frame

from .conftest import Watched, no_detections, watched

OpenEngine = Callable[..., Engine]
OFTEN = SceneOptions(look_every=0.08, open_score=0.4, show_score=0.4)


def followed(scene: Scene, frames: Watched) -> list[Any]:
    return [scene.update(moment.frame, found).plain for moment, found in frames]


def test_interleaved_scenes_are_as_alone(open_scenes_engine: OpenEngine, scenes: list[Watched]) -> None:
    alone = []
    for frames in scenes:
        with Scene(open_scenes_engine(), OFTEN) as scene:
            alone.append(followed(scene, frames))
    for workers in (1, 2):
        engine = open_scenes_engine(workers=workers)
        with Scene(engine, OFTEN) as one, Scene(engine, OFTEN) as other:
            together: list[list[Any]] = [[], []]
            for pair in zip(*scenes, strict=True):
                for place, (scene, (moment, found)) in enumerate(zip((one, other), pair, strict=True)):
                    together[place].append(scene.update(moment.frame, found).plain)
        assert together == alone
        assert workers > 1 or engine.slots.num_used == 0  # lanes free them a moment later
    assert all(any(answer["targets"] for answer in answers) for answers in alone)
    assert all(any(answer["looked"] for answer in answers) for answers in alone)


def test_a_scene_goes_on_from_its_snapshot(open_scenes_engine: OpenEngine, scenes: list[Watched]) -> None:
    with Scene(open_scenes_engine(), OFTEN, scene_id="lobby") as scene:
        followed(scene, scenes[0][:12])
        blob = scene.snapshot()
        assert blob == scene.snapshot()
        expected = followed(scene, scenes[0][12:])
        last = scene.snapshot()
    with Scene.restore(open_scenes_engine(), blob, OFTEN) as again:
        assert again.id == "lobby"
        assert again.snapshot() == blob
        assert followed(again, scenes[0][12:]) == expected
        assert again.snapshot() == last


REST_OF_IT = """
import json, sys
from pathlib import Path
from framestate.engine import Engine
from framestate.engine.scene import Scene
from tests.engine.scene.conftest import watched
from tests.engine.scene.test_scene import OFTEN, followed
with Engine.load(sys.argv[1], runtime="onnx", device="cpu", threads=1, capacity=32) as engine:
    with Scene.restore(engine, Path(sys.argv[2]).read_bytes(), OFTEN) as scene:
        json.dump(followed(scene, watched(1)[12:]), sys.stdout)
"""


@pytest.mark.slow
def test_another_process_goes_on_bit_for_bit(
    tiny_bundle: Bundle, scenes: list[Watched], tmp_path: Path, checkout: Path
) -> None:
    engine = Engine.load(tiny_bundle, runtime="onnx", device="cpu", threads=1, capacity=32)
    with engine, Scene(engine, OFTEN) as scene:
        followed(scene, scenes[0][:12])
        (tmp_path / "scene.blob").write_bytes(scene.snapshot())
        expected = followed(scene, scenes[0][12:])
    command = [sys.executable, "-c", REST_OF_IT, str(tiny_bundle.path), str(tmp_path / "scene.blob")]
    done = subprocess.run(command, cwd=checkout, capture_output=True, text=True, timeout=120, check=True)
    assert json.loads(done.stdout) == json.loads(json.dumps(expected))


def test_damaged_snapshots_are_refused_and_leave_nothing(
    open_scenes_engine: OpenEngine, scenes: list[Watched]
) -> None:
    engine = open_scenes_engine()
    with Scene(engine, OFTEN) as scene:
        followed(scene, scenes[0][:7])
        blob = scene.snapshot()
        with pytest.raises(SessionError):
            Scene.restore(engine, blob)  # its ids are in use
        used = engine.slots.num_used
        assert used == len(scene.targets())
    draw = np.random.default_rng(0)
    broken = [b"", b"x" * 40, blob[:-1], blob[:200], blob + b"1"]
    for _ in range(30):
        at = int(draw.integers(len(blob)))
        broken.append(blob[:at] + bytes([blob[at] ^ 255]) + blob[at + 1 :])
    for bad in broken:
        with pytest.raises(StateError):
            Scene.restore(engine, bad)
        assert engine.slots.num_used == 0
    small = open_scenes_engine(capacity=1)
    with pytest.raises(CapacityError):
        Scene.restore(small, blob)
    assert small.slots.num_used == 0


def test_targets_by_hand(open_scenes_engine: OpenEngine, scenes: list[Watched]) -> None:
    engine = open_scenes_engine()
    frames = [moment for moment, _ in scenes[0]]
    with Scene(engine, OFTEN) as scene:
        with pytest.raises(FrameError):
            scene.add((10, 10, 20, 20))
        scene.update(frames[0].frame)
        with pytest.raises(BoxError):
            scene.add((500, 10, 20, 20))
        target = scene.add(frames[0].boxes[0].tolist(), "koi")
        assert (target.id, target.label, target.status) == (1, "koi", "tracking")
        answers = [scene.update(moment.frame) for moment in frames[1:6]]
        assert [one.id for one in answers[-1]] == [1]
        x, y, w, h = frames[5].boxes[0].tolist()
        target.correct((x, y, w, h))
        assert target.box.xywh == pytest.approx((x, y, w, h))
        with pytest.raises(BoxError):
            target.correct((x, y, -1, h))
        scene.update(frames[6].frame, no_detections())
        assert scene.target(1).box.xywh == target.box.xywh
        target.end()
        for use in (lambda: target.box, target.end, lambda: target.correct((1, 1, 5, 5))):
            with pytest.raises(SessionError):
                use()
        assert engine.slots.num_used == 0
        assert scene.add(frames[6].boxes[0].tolist()).id == 2
    for closed in (lambda: scene.update(frames[7].frame), scene.targets, lambda: scene.target(2).box):
        with pytest.raises(SessionError, match="is closed"):
            closed()


def test_the_budget_is_kept_and_what_was_skipped_is_said(
    open_scenes_engine: OpenEngine, scenes: list[Watched]
) -> None:
    options = SceneOptions(look_every=0.04, most_looks=2, open_score=0.4, show_score=0.4)
    with Scene(open_scenes_engine(), options) as scene:
        skipped, looked = set(), set()
        for moment, found in scenes[0]:
            answer = scene.update(moment.frame, found)
            assert len(answer.looked) <= 2
            assert not set(answer.looked) & set(answer.skipped)
            skipped |= set(answer.skipped)
            looked |= set(answer.looked)
    assert skipped
    assert len(looked) >= 3  # the need of those that wait grows: nobody is forgotten


def test_a_full_engine_says_who_has_no_session(open_scenes_engine: OpenEngine, scenes: list[Watched]) -> None:
    with Scene(open_scenes_engine(capacity=2), OFTEN) as scene:
        answers = [scene.update(moment.frame, found) for moment, found in scenes[0]]
        assert any(answer.failed for answer in answers)
        assert max(len(answer) for answer in answers) > 2  # the others are carried by the flow


def test_a_scene_wants_a_tracker_and_frames_in_order(
    open_scenes_engine: OpenEngine, scenes: list[Watched]
) -> None:
    with Scene(open_scenes_engine()) as scene:
        (moment, found), (later, _) = scenes[0][0], scenes[0][1]
        scene.update(later.frame, found)
        before = scene.snapshot()
        for bad in (
            moment.frame,
            Frame(np.zeros((10, 10, 3), np.uint8), 99, later.frame.time_base, 99),
            np.zeros((10, 10), np.uint8),
            None,
        ):
            with pytest.raises(FrameError):
                scene.update(bad)  # type: ignore[arg-type]
        wrong = Detections.from_xywh([[1, 1, 9, 9]], seconds=77.0)
        with pytest.raises(FrameError, match="77"):
            scene.update(scenes[0][2][0].frame, wrong)
        assert scene.snapshot() == before
    with pytest.raises(OptionError):
        SceneOptions(least_score=2)
    with pytest.raises(OptionError):
        SceneOptions(patience=float("nan"))


@pytest.mark.slow
def test_made_objects_keep_their_ids_with_a_detection_now_and_then() -> None:
    """Eight objects that cross, detections every fifth frame: most are in the right place under one id."""
    frames = watched(7, objects=8, frames=60)
    hits = switches = total = 0
    last: dict[int, int] = {}
    with Engine.load("tracker-nano", capacity=64, threads=1) as engine, Scene(engine) as scene:
        for index, (moment, found) in enumerate(frames):
            answer = scene.update(moment.frame, found)
            if index < 10:
                continue
            for number, box in zip(moment.ids.tolist(), moment.boxes, strict=True):
                total += 1

                best = max(answer, key=lambda one: one.box.iou(Box(*box)), default=None)
                if best is not None and best.box.iou(Box(*box)) > 0.5:
                    hits += 1
                    switches += last.get(number, best.id) != best.id
                    last[number] = best.id
    assert hits > 0.75 * total
    assert switches <= 4
