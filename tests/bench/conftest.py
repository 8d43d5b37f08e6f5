"""Small evaluation folders: a bright square that moves over a dim, textured background."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from framestate.vision.box import Box

MakeSequence = Callable[..., Path]


def picture(index: int, width: int = 96, height: int = 64, side: int = 16) -> np.ndarray:
    """BGR frame ``index``; the square's corner is at ``truth_box(index)``."""
    texture = np.random.default_rng(0)
    image = texture.integers(0, 60, (height, width, 3), dtype=np.uint8)
    box = truth_box(index, side)
    x, y = int(box.x), int(box.y)
    image[y : y + side, x : x + side] = texture.integers(120, 255, (side, side, 3), dtype=np.uint8)
    return image


def truth_box(index: int, side: int = 16) -> Box:
    """Where the square is: two pixels further right and one further down each frame."""
    return Box(10.0 + 2 * index, 8.0 + index, side, side)


@pytest.fixture
def make_sequence(tmp_path: Path) -> MakeSequence:
    """Write ``<tmp>/data/<name>`` with numbered images (or a video) and its truth; returns the folder."""

    def make(
        name: str = "square",
        frames: int = 8,
        *,
        lines: list[str] | None = None,
        video: bool = False,
        images: str = "",
    ) -> Path:
        folder = tmp_path / "data" / name
        (folder / images).mkdir(parents=True)
        if video:
            writer = cv2.VideoWriter(
                str(folder / "video.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 25.0, (96, 64)
            )
            for index in range(frames):
                writer.write(picture(index))
            writer.release()
        else:
            for index in range(frames):
                cv2.imwrite(str(folder / images / f"{index:04d}.png"), picture(index))
        if lines is None:
            lines = [str(truth_box(index)) for index in range(frames)]
        (folder / "groundtruth.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
        return folder

    return make
