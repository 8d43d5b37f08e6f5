"""examples/label_clips.py: what moves is found, followed there and back, and written for training."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
from framestate.engine import Engine
from framestate.models.tracking.clips import read_clips
from framestate.vision import Box, VideoWriter
from framestate.vision.synthetic import demo_clip


def test_labelled_clips_are_sequences_to_train_on(example: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "clips").mkdir()
    with VideoWriter(tmp_path / "clips" / "koi.mp4", 320, 240, 25) as writer:
        for image, _, _ in demo_clip(1, 24, (320, 240)):
            writer.write(image)
    example.main([str(tmp_path / "clips"), str(tmp_path / "out")])
    clips = read_clips(tmp_path / "out")
    assert clips
    for clip in clips:
        assert clip.name.startswith("koi_")
        assert len(clip.boxes) == 24
        assert len(clip.present) >= example.LEAST_FRAMES


def test_a_target_that_is_found_again_keeps_its_boxes(example: ModuleType) -> None:
    clip = list(demo_clip(1, 80, (320, 240)))[:16]
    frames, truth = [image for image, _, _ in clip], [box for _, box, _ in clip]
    with Engine.load("tracker-nano", threads=1) as engine:
        boxes = example.there_and_back(engine, frames, truth[0])
    assert boxes is not None
    kept = [i for i in range(len(frames)) if np.isfinite(boxes[i]).all()]
    assert np.mean([Box(*boxes[i]).iou(truth[i]) for i in kept]) > 0.5


def test_places_off_the_frame_are_no_candidates(example: ModuleType) -> None:
    frames = [image for image, _, _ in demo_clip(1, 3, (320, 240))]
    boxes = example.candidates(frames, np.random.default_rng(0))
    assert 1 <= len(boxes) <= example.IN_ALL
    for box in boxes:
        assert 0 <= box.x <= box.x + box.w <= 320
        assert 0 <= box.y <= box.y + box.h <= 240
