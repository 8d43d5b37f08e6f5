"""Small clips, made as the tests need them."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from framestate.vision import Image, VideoWriter

ClipMaker = Callable[..., Path]


def picture(place: int, width: int = 96, height: int = 64) -> Image:
    """A noisy picture with a bright bar whose column tells its place in the clip."""
    rng = np.random.default_rng(place)
    image = rng.integers(30, 110, (height, width, 3), dtype=np.uint8)
    image[:, (place * 4) % width : (place * 4) % width + 4] = 250
    return image


@pytest.fixture
def make_clip(tmp_path: Path) -> ClipMaker:
    """Write a clip of `picture`s and return its path."""

    def make(
        name: str = "clip.mp4",
        *,
        frames: int = 24,
        width: int = 96,
        height: int = 64,
        rate: Fraction | int = 24,
        pts: list[int] | None = None,
        time_base: Fraction | None = None,
    ) -> Path:
        path = tmp_path / name
        with VideoWriter(path, width, height, rate, time_base=time_base) as video:
            for place in range(frames):
                video.write(picture(place, width, height), None if pts is None else pts[place])
        return path

    return make
