"""The interpolation half of the demo: twice as many frames, those in between compared with the true ones."""

from __future__ import annotations

import time
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from ..bench.fidelity import psnr
from ..engine import Interpolating
from ..vision import Box, Frame, Image, VideoWriter
from ..vision.synthetic import Scene
from .demo_tracking import RATE
from .follow import load
from .progress import frames_bar


@dataclass(frozen=True)
class InterpolationDemo:
    """How it went, over the frames made.

    Attributes:
        frames: that were made, each half-way between two rendered ones.
        fps: of them, all that the session does included.
        psnr_db, blend_psnr_db: mean over them, against the rendered truth; ours, and of a plain blend.
        pictures, titles: the place where blending is worst, as blended, made, and rendered.
    """

    model: str
    runtime: str
    device: str
    frames: int
    fps: float | None
    psnr_db: float
    blend_psnr_db: float
    pictures: list[Image]
    titles: list[str]


@dataclass(frozen=True)
class _Middle:
    """One moment half-way, three times, with what the first two lack to the third in dB."""

    blended: Image
    made: Image
    truth: Image
    target: Box
    blended_db: float
    made_db: float


def interpolate_demo(
    model: str, video: Path, *, frames: int, runtime: str, device: str, threads: int | None
) -> InterpolationDemo:
    """Render, interpolate, compare, and write ``video``, with twice the rate of the rendered clip.

    Raises:
        InputError: the model or the runtime cannot be used.
        RunError: the model failed, or the video could not be written.
    """
    scene = Scene(frames=frames)
    scores: list[tuple[float, float]] = []
    worst: _Middle | None = None
    seconds = 0.0
    with (
        load(model, Interpolating, runtime=runtime, device=device, threads=threads, capacity=1) as engine,
        engine.open(factor=2) as session,
        VideoWriter(video, scene.width, scene.height, 2 * RATE) as writer,
        frames_bar("rendering and interpolating", frames) as bar,
    ):
        before: Image | None = None
        for t in range(frames):
            image = scene.render(t)
            began = time.perf_counter()
            shown = session.push(Frame(image, t, 1 / Fraction(RATE), t))
            seconds += time.perf_counter() - began if t else 0.0
            for frame in shown:
                writer.write(frame.image)
            if before is not None:
                middle = _compare(scene, t - 0.5, before, shown[0].image, image)
                scores.append((middle.made_db, middle.blended_db))
                if worst is None or middle.blended_db < worst.blended_db:
                    worst = middle
            before = image
            bar.advance()
        assert worst is not None, "a clip has two frames at least"
        made_db, blended_db = np.mean(scores, axis=0)
        return InterpolationDemo(
            model=model,
            runtime=engine.runtime.name,
            device=engine.runtime.device,
            frames=len(scores),
            fps=len(scores) / seconds if seconds > 0 else None,
            psnr_db=float(made_db),
            blend_psnr_db=float(blended_db),
            pictures=[close_up(one, worst.target) for one in (worst.blended, worst.made, worst.truth)],
            titles=[
                f"blended   {worst.blended_db:.1f} dB",
                f"made   {worst.made_db:.1f} dB",
                "the true frame between",
            ],
        )


def _compare(scene: Scene, t: float, before: Image, made: Image, after: Image) -> _Middle:
    blended = np.asarray(cv2.addWeighted(before, 0.5, after, 0.5, 0), np.uint8)
    truth = scene.render(t)
    return _Middle(blended, made, truth, scene.box(t), psnr(blended, truth), psnr(made, truth))


def close_up(image: Image, target: Box) -> Image:
    """The half of the picture around the target, at twice the size."""
    height, width = image.shape[0] // 2, image.shape[1] // 2
    x, y = target.centre
    left = min(max(round(x - width / 2), 0), image.shape[1] - width)
    top = min(max(round(y - height / 2), 0), image.shape[0] - height)
    part = image[top : top + height, left : left + width]
    return np.asarray(cv2.resize(part, (2 * width, 2 * height), interpolation=cv2.INTER_CUBIC), np.uint8)
