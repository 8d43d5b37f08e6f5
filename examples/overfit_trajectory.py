"""Does an ARTrackMamba learn? A small one learns four rendered clips by heart, and the engine runs it.

It trains by sequences (its own boxes, crops, history and state) and is scored by the engine's closed loop: in
the end the mean overlap with the true boxes should be 0.9 or more.

    python examples/overfit_trajectory.py OUT [--steps 400 150]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import torch
from framestate.bundles import write_bundle
from framestate.engine import Engine
from framestate.engine.tracking import TrackingOptions
from framestate.models import dump_weights
from framestate.models.artrack_mamba_v2 import ArtrackMambaV2, ArtrackMambaV2Config
from framestate.models.artrack_mamba_v2.sequence import SequenceConfig, SequenceTask
from framestate.models.artrack_mamba_v2.task import PairTask
from framestate.models.datasets.footage import FootageMix
from framestate.models.datasets.opening import ClipSet
from framestate.models.tracking.clips import Clip
from framestate.models.tracking.poses import SampleConfig
from framestate.models.tracking.samples import SampleSource
from framestate.models.training.config import LoopConfig
from framestate.models.training.loop import train
from framestate.plugins import eager_operators
from framestate.vision import Box, Frame, Image
from framestate.vision.synthetic import demo_clip
from safetensors.numpy import save

CLIPS, FRAMES, SIZE = 4, 12, (160, 120)
Rendered = list[tuple[Image, Box]]


def small() -> ArtrackMambaV2Config:
    """A hundred thousand parameters, every part of the large ones."""
    return ArtrackMambaV2Config(
        template_size=32,
        search_size=64,
        patch=8,
        dim=64,
        layers=2,
        mixer="mamba2",
        states=16,
        head_channels=32,
        attention_heads=4,
        bins=100,
        history=3,
        redraw_dim=16,
        redraw_layers=1,
        redraw_heads=2,
    )


def as_clip(name: str, rendered: Rendered) -> Clip:
    """A rendered clip as footage to learn from."""
    options = [cv2.IMWRITE_JPEG_QUALITY, 98]
    frames = tuple(
        cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)[1].tobytes()
        for image, _ in rendered
    )
    return Clip(name, frames, np.array([box.xywh for _, box in rendered]), np.arange(len(frames)))


def learn(clips: list[Clip], steps: Sequence[int], out: Path) -> ArtrackMambaV2:
    """A model that has seen these clips and nothing else: first stretches of 3 frames, then of 11."""
    model = ArtrackMambaV2(small(), eager_operators())
    for phase, (count, batch, sequence, rate) in enumerate(
        (
            (steps[0], 16, SequenceConfig(3, 3, 1), 4e-3),
            (steps[1], 8, SequenceConfig(FRAMES - 1, FRAMES - 1, 1), 1e-3),
        )
    ):
        model = learn_phase(model, clips, count, batch, sequence, rate, out / f"phase{phase}")
    return model


def learn_phase(
    model: ArtrackMambaV2,
    clips: list[Clip],
    steps: int,
    batch: int,
    sequence: SequenceConfig,
    rate: float,
    out: Path,
) -> ArtrackMambaV2:
    """The model after some more steps."""
    config = model.config
    crops = SampleConfig(config.template_size, search_size=config.search_size, search_factor=4.0)
    pairs = PairTask(
        model,
        SampleSource(crops, [], clips, 0),
        None,
        batch=batch,
        steps=steps,
        workers=0,
    )
    task = SequenceTask(pairs, FootageMix([ClipSet("clips", clips)]), sequence)
    loop = LoopConfig(
        steps=steps, learning_rate=rate, weight_decay=0.0, warmup_steps=20, ema=0.95, log_every=10
    )

    def tell(step: int, line: dict[str, float]) -> None:
        print(f"step {step}: loss {line['loss']:.2f}, overlap {line['iou']:.3f}", flush=True)

    learned = train(task, loop, out, tell).model
    assert isinstance(learned, ArtrackMambaV2)
    return learned


def overlaps(engine: Engine, rendered: Rendered) -> list[float]:
    """IoU with the true box in every frame after the first."""
    frames = [(Frame(image, i, Fraction(1, 25), i), box) for i, (image, box) in enumerate(rendered)]
    target = engine.open(frames[0][0], box=frames[0][1])
    found = [target.push(frame).box.iou(box) for frame, box in frames[1:]]
    target.close()
    return found


def main(arguments: Sequence[str] | None = None) -> float:
    """The command; returns the mean overlap."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, nargs=2, default=[400, 150])
    chosen = parser.parse_args(arguments)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    began = time.process_time()
    rendered = [[(image, box) for image, box, _ in demo_clip(seed, FRAMES, SIZE)] for seed in range(CLIPS)]
    model = learn([as_clip(f"clip{k}", clip) for k, clip in enumerate(rendered)], chosen.steps, chosen.out)
    weights = {"weights.safetensors": save(dump_weights(model))}
    spec = model.spec("overfit")
    bundle = write_bundle(chosen.out / "bundle", spec, weights, provenance={}, metrics={}, parity={})
    plain = TrackingOptions(crop="last", size_floor=1.0, override=0.0, seen=0.0, sure=0.0)
    with Engine.load(bundle, runtime="eager", device="cpu", threads=1, options=plain) as engine:
        means = [float(np.mean(overlaps(engine, clip))) for clip in rendered]
    print(f"mean overlaps {', '.join(f'{mean:.3f}' for mean in means)}; all {np.mean(means):.3f}")
    print(f"{time.process_time() - began:.0f} s of processor time")
    return float(np.mean(means))


if __name__ == "__main__":
    main()
