"""A small ViL-Tracker learns four sequences by heart, and then follows them by itself."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from framestate.bundles import write_bundle
from framestate.engine import Engine
from framestate.models import dump_weights
from framestate.models.tracking.poses import SampleConfig
from framestate.models.tracking.samples import SampleSource
from framestate.models.training.config import LoopConfig
from framestate.models.training.loop import train
from framestate.models.vil_tracker import VilTracker, mini
from framestate.models.vil_tracker.curriculum import CurriculumConfig
from framestate.models.vil_tracker.losses import LossConfig
from framestate.models.vil_tracker.task import VilTask
from framestate.plugins import eager_operators
from framestate.vision import Box, SquareCrop, around, cut
from framestate.vision.pixels import Image
from framestate.vision.synthetic import demo_clip
from safetensors.numpy import save

STEPS, BATCH = 400, 8


@dataclass
class Steps:
    """What a tracker meets that is right so far: the first template, crops around the boxes before."""

    config: SampleConfig
    clips: list[list[tuple[Image, Box]]]
    seed: int = 0

    def __getitem__(self, index: int) -> dict[str, Any]:
        c, rng = self.config, np.random.default_rng((self.seed, index))
        clip = self.clips[rng.integers(len(self.clips))]
        first = int(rng.integers(1, len(clip) - c.searches + 1))
        views, boxes = [], []
        for now in range(first, first + c.searches):
            before, (image, box) = clip[now - 1][1], clip[now]
            unit = float(np.sqrt(before.w * before.h))
            (cx, cy), shift = before.centre, rng.normal(0, c.shift, 2) * unit
            side = unit * c.search_factor * float(np.exp(rng.normal(0, c.zoom)))
            crop = SquareCrop(cx=cx + shift[0], cy=cy + shift[1], side=side, size=c.search_size)
            views.append(cut(image, crop))
            boxes.append(crop.to_crop(box).xywh)
        template = cut(clip[0][0], around(clip[0][1], c.template_factor, c.template_size))
        return {
            "template": template,
            "search": np.stack(views),
            "boxes": np.array(boxes, np.float32),
            "visible": np.ones(c.searches, bool),
        }


@pytest.mark.long
def test_four_sequences_by_heart(tmp_path: Path) -> None:
    """Two minutes on one core, with curriculum, temporal features, experts and adaptive weights at work."""
    config = replace(mini(), search_factor=2.5)
    clips = [[(image, box) for image, box, _ in demo_clip(s, 10, (240, 160))] for s in range(4)]
    samples = SampleConfig(template_size=64, search_size=128, search_factor=2.5, shift=0.05, zoom=0.04)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = VilTracker(config, eager_operators())
        source = cast("SampleSource", Steps(samples, clips))
        curriculum = CurriculumConfig(epoch_samples=STEPS * BATCH // 20, ramp_epochs=5, film_epoch=3)
        task = VilTask(model, source, None, curriculum, LossConfig(), batch=BATCH, steps=STEPS, workers=0)
        loop = LoopConfig(
            steps=STEPS, learning_rate=2e-3, warmup_steps=50, ema=0.98, freeze_norms=0.6, save_every=STEPS
        )
        learned = train(task, loop, tmp_path / "run").model
    del learned.adaptive
    assert isinstance(learned, VilTracker)
    files: dict[str, Path | bytes] = {"weights.safetensors": save(dump_weights(learned))}
    bundle = write_bundle(tmp_path / "b", learned.spec("b"), files, provenance={}, metrics={}, parity={})
    overlaps = []
    with Engine.load(bundle, runtime="eager", device="cpu", threads=1) as engine:
        for clip in clips:
            with engine.open(clip[0][0], box=clip[0][1].xywh) as session:
                overlaps += [session.push(image).box.iou(box) for image, box in clip[1:]]
    assert np.mean(overlaps) >= 0.9
