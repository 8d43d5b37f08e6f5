from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from framestate.errors import FrameError
from framestate.vision import Frame

IMAGE = np.zeros((48, 64, 3), np.uint8)


def test_a_frame_says_what_it_is() -> None:
    frame = Frame(IMAGE, 90, Fraction(1, 30), 7)
    assert (frame.width, frame.height, frame.seconds) == (64, 48, 3.0)
    assert repr(frame) == "Frame(64x48, pts=90, time_base=1/30, seconds=3.000, index=7)"


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((48, 64), np.uint8),
        np.zeros((48, 64, 4), np.uint8),
        np.zeros((48, 64, 3), np.float32),
        np.zeros((0, 64, 3), np.uint8),
        [[1, 2, 3]],
        None,
    ],
)
def test_an_image_must_be_rgb(image: Any) -> None:
    with pytest.raises(FrameError, match="image"):
        Frame(image, 0, Fraction(1, 30), 0)


@pytest.mark.parametrize(
    ("pts", "time_base", "index", "words"),
    [
        (-1, Fraction(1, 30), 0, "pts is -1"),
        (0.5, Fraction(1, 30), 0, "pts is 0.5"),
        (None, Fraction(1, 30), 0, "pts is None"),
        (0, Fraction(1, 30), -1, "index is -1"),
        (0, Fraction(0), 0, "time base is"),
        (0, Fraction(-1, 30), 0, "time base is"),
        (0, 1 / 30, 0, "time base is"),
    ],
)
def test_times_must_be_right(pts: Any, time_base: Any, index: Any, words: str) -> None:
    with pytest.raises(FrameError, match=words):
        Frame(IMAGE, pts, time_base, index)
