"""Clips of the synthetic target, as files of video."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

from framestate.vision import VideoWriter
from framestate.vision.synthetic import demo_clip

RATE = Fraction(1, 25)


def write_clip(
    path: Path, frames: int, *, drawn: int = 12, rate: int = 25, size: tuple[int, int] = (160, 120)
) -> Path:
    """A video of so many frames; after those that are drawn it begins again."""
    images = [image for image, _, _ in demo_clip(3, min(frames, drawn), size)]
    with VideoWriter(path, *size, rate) as film:
        for index in range(frames):
            film.write(images[index % len(images)])
    return path
