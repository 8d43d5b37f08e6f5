"""The tracking half of the demo: the rendered koi, followed from its true box in the first frame."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from ..engine import Track, Tracking
from ..vision import Box, Frame, Image, VideoWriter, draw_track
from ..vision.synthetic import Scene
from .follow import load
from .progress import frames_bar

RATE = 25
SHEET_FRAMES = 6


@dataclass(frozen=True)
class TrackingDemo:
    """How it went: ``fps`` of the engine's update calls, ``mean_iou`` over the frames after the first.

    ``pictures`` are frames with the boxes drawn, for the sheet, and ``titles`` what stands above them.
    """

    model: str
    runtime: str
    device: str
    frames: int
    fps: float | None
    mean_iou: float
    lost: int
    pictures: list[Image]
    titles: list[str]


def track_demo(
    model: str, video: Path, *, frames: int, runtime: str, device: str, threads: int | None
) -> TrackingDemo:
    """Render, track, draw, and write ``video``.

    Raises:
        InputError: the model or the runtime cannot be used.
        RunError: the model failed, or the video could not be written.
    """
    scene = Scene(frames=frames)
    shown = sheet_frames([scene.visible(t) for t in range(frames)])
    overlaps: list[float] = []
    pictures: list[Image] = []
    titles: list[str] = []
    lost = 0
    seconds = 0.0
    with (
        load(model, Tracking, runtime=runtime, device=device, threads=threads, capacity=1) as engine,
        VideoWriter(video, scene.width, scene.height, RATE) as writer,
        frames_bar("rendering and tracking", frames) as bar,
    ):
        target = None
        for frame, truth in _clip(scene, frames):
            if target is None:
                target = engine.open(frame, box=truth)
                track = Track(truth, 1.0, "tracking", frame.index)
            else:
                began = time.perf_counter()
                track = target.push(frame)
                seconds += time.perf_counter() - began
                overlaps.append(track.box.iou(truth))
                lost += track.status == "lost"
            picture = draw(frame.image, truth, track)
            writer.write(picture)
            if frame.index in shown:
                pictures.append(picture)
                met = f"IoU {overlaps[-1]:.2f}" if overlaps else "start"
                titles.append(f"frame {frame.index}   {met}")
            bar.advance()
        return TrackingDemo(
            model=model,
            runtime=engine.runtime.name,
            device=engine.runtime.device,
            frames=frames,
            fps=len(overlaps) / seconds if seconds > 0 else None,
            mean_iou=float(np.mean(overlaps)),
            lost=lost,
            pictures=pictures,
            titles=titles,
        )


def sheet_frames(visible: list[float]) -> set[int]:
    """Frames for the sheet: evenly spread, the nearest of them moved to where the target is hidden most."""
    last = len(visible) - 1
    spread = [round(place * last / (SHEET_FRAMES - 1)) for place in range(SHEET_FRAMES)]
    hidden = int(np.argmin(visible))
    spread[int(np.argmin([abs(frame - hidden) for frame in spread]))] = hidden
    return set(spread)


def draw(image: Image, truth: Box, track: Track) -> Image:
    """The frame with the truth as a thin white line and the track's box over it."""
    canvas = image.copy()
    left, top, right, bottom = (round((value - 0.5) * 16) for value in truth.xyxy)
    cv2.rectangle(canvas, (left, top), (right, bottom), (255, 255, 255), 1, cv2.LINE_AA, 4)
    return draw_track(canvas, track.box, f"{track.score:.2f}", track.status)


def _clip(scene: Scene, frames: int) -> Iterator[tuple[Frame, Box]]:
    """Every frame with the target's true box."""
    tick = 1 / Fraction(RATE)
    for t in range(frames):
        yield Frame(scene.render(t), t, tick, t), scene.box(t)
