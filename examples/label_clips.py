"""Label targets in clips that nobody labelled, with a tracker at hand, for a recipe's ``more_clips``.

Targets are what moves against its surroundings, and textured places. Each is followed to the end of its clip
and back; where the two ways disagree, the frame is left without a box, and a target that is not found again
at its start is dropped. A clip becomes a folder with a link to its video and ``groundtruth_<k>.txt`` for each
target.

    python examples/label_clips.py CLIPS OUT --model ./nanotrack
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from framestate.engine import Engine
from framestate.errors import BoxError
from framestate.vision import Box, VideoReader

Image = npt.NDArray[np.uint8]
Track = list[tuple[Box, float]]
MOVING, IN_ALL, TRIES = 4, 8, 40
AGREE = 0.5
"""Overlap of the two ways at which a frame keeps its box."""
LEAST_FRAMES = 12
SURE = 0.2
"""Score below which a frame keeps no box."""


def candidates(frames: list[Image], rng: np.random.Generator) -> list[Box]:
    """Boxes in the first frame: the largest things that move on their own, then textured places."""
    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in (frames[0], frames[min(2, len(frames) - 1)])]
    height, width = grey[0].shape
    dis: Any = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    flow = dis.calc(grey[0], grey[1], None)
    speed = np.linalg.norm(flow - np.median(flow.reshape(-1, 2), axis=0), axis=2)
    speed = cv2.GaussianBlur(speed, (0, 0), 3)
    moving = (speed > max(1.0, float(np.percentile(speed, 85)))).astype(np.uint8)
    _, _, stats, _ = cv2.connectedComponentsWithStats(moving)
    boxes = []
    for x, y, w, h, _ in sorted(stats[1:].tolist(), key=lambda row: -row[4])[:MOVING]:
        if 12 < w < 0.6 * width and 12 < h < 0.75 * height:
            boxes.append(Box(x, y, w, h))
    texture = cv2.GaussianBlur(np.abs(cv2.Laplacian(grey[0], cv2.CV_32F)), (0, 0), 5)
    for _ in range(TRIES):
        side = min(height, width) * np.exp(rng.uniform(np.log(0.1), np.log(0.4)))
        ratio = np.exp(rng.normal(0, 0.35))
        w, h = side * ratio, side / ratio
        if len(boxes) >= IN_ALL:
            break
        if w > 0.6 * width or h > 0.7 * height:
            continue
        box = Box(float(rng.uniform(0, width - w)), float(rng.uniform(0, height - h)), float(w), float(h))
        inside = texture[int(box.y) : int(box.y + h), int(box.x) : int(box.x + w)]
        if inside.mean() > 1.1 * np.median(texture) and all(box.iou(other) < 0.3 for other in boxes):
            boxes.append(box)
    return boxes


def follow(engine: Engine, frames: list[Image], box: Box) -> Track:
    """The target's boxes and scores in all frames, in their order."""
    target = engine.open(frames[0], box=box)
    try:
        track = [(box, 1.0)]
        for frame in frames[1:]:
            answer = target.push(frame)
            track.append((answer.box, answer.score))
        return track
    finally:
        target.close()


def there_and_back(engine: Engine, frames: list[Image], box: Box) -> npt.NDArray[np.float64] | None:
    """(frames, 4) boxes, NaN where the two ways disagree; None for a target that is not found again.

    The whole clip is tried first, then its first half.
    """
    forward = follow(engine, frames, box)
    for count in (len(frames), len(frames) // 2):
        try:
            back = follow(engine, frames[:count][::-1], forward[count - 1][0])[::-1]
        except BoxError:  # the way there ended outside the frame
            continue
        overlaps = np.array([a.iou(b) for (a, _), (b, _) in zip(forward, back, strict=False)])
        if overlaps[0] > 0.55 and np.median(overlaps) > 0.6:
            boxes = np.full((len(frames), 4), np.nan)
            for index in range(count):
                if overlaps[index] > AGREE and forward[index][1] > SURE:
                    boxes[index] = np.mean([forward[index][0].xywh, back[index][0].xywh], axis=0)
            return boxes if np.isfinite(boxes[:, 0]).sum() >= LEAST_FRAMES else None
    return None


def label(engine: Engine, video: Path, folder: Path, rng: np.random.Generator) -> int:
    """Writes a clip's folder and returns how many targets it has; none, and there is no folder."""
    with VideoReader(video) as reader:
        frames = [frame.image for frame in reader]
    found = [there_and_back(engine, frames, box) for box in candidates(frames, rng)]
    kept = [boxes for boxes in found if boxes is not None]
    if kept:
        folder.mkdir(parents=True)
        (folder / "video.mp4").symlink_to(video.resolve())
    for number, boxes in enumerate(kept):
        np.savetxt(folder / f"groundtruth_{number}.txt", boxes, fmt="%.2f", delimiter=",")
    return len(kept)


def main(arguments: list[str] | None = None) -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("clips", type=Path, help="a folder of .mp4 files")
    parser.add_argument("out", type=Path, help="where the labelled folders go; those there already are kept")
    parser.add_argument("--model", default="tracker-nano", help="a model's name, or the folder of a bundle")
    given = parser.parse_args(arguments)
    rng = np.random.default_rng(5)
    with Engine.load(given.model, threads=1) as engine:
        for video in sorted(given.clips.glob("*.mp4")):
            folder = given.out / video.stem
            if not folder.exists():
                print(f"{video.stem}: {label(engine, video, folder, rng)} targets", flush=True)


if __name__ == "__main__":
    main()
