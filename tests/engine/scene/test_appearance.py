"""What a target looks like: colours of two halves, told from one another."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from framestate.engine.scene.appearance import (
    HUES,
    SIZE,
    UNKNOWN,
    blended,
    likeness,
    likenesses,
    look_of,
)  # fmt: skip
from framestate.vision import Box, Image

BOX = Box(0, 0, 40, 60)


def plain(*halves: tuple[int, int, int]) -> Image:
    """A picture of the box's size by hue, saturation and value of its upper and its lower half."""
    hsv = np.empty((60, 40, 3), np.uint8)
    hsv[:30], hsv[30:] = halves[0], halves[-1]
    return np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB), np.uint8)


COLOURS = [(20 * hue + 10, 255, value) for hue in range(HUES) for value in (80, 220)]
GREYS = [(0, 0, 32 * step + 16) for step in range(8)]


def test_every_colour_and_every_grey_is_one_of_its_own() -> None:
    looks = [look_of(plain(one), BOX) for one in (*COLOURS, *GREYS)]
    assert all(look.shape == (SIZE,) for look in looks)
    assert likenesses(looks, looks) == pytest.approx(np.eye(len(looks)), abs=1e-6)


def test_halves_are_told_apart() -> None:
    red, green = COLOURS[1], COLOURS[7]
    one, other = look_of(plain(red, green), BOX), look_of(plain(green, red), BOX)
    assert likeness(one, other) == pytest.approx(0, abs=1e-6)
    assert likeness(one, look_of(plain(red), BOX)) == pytest.approx(0.5, abs=0.05)


def test_what_was_not_seen_is_unknown() -> None:
    seen = look_of(plain(COLOURS[0]), BOX)
    nothing = look_of(plain(COLOURS[0]), Box(500, 500, 10, 10))
    assert not len(nothing)
    assert likeness(nothing, seen) == likeness(seen, UNKNOWN) == 0.5
    assert likenesses([seen, UNKNOWN], [UNKNOWN, seen]).tolist() == [[0.5, pytest.approx(1)], [0.5, 0.5]]


def test_a_look_follows_what_is_seen() -> None:
    old, new = (look_of(plain(colour), BOX) for colour in COLOURS[:2])
    assert blended(old, new, 0) == pytest.approx(old)
    assert blended(old, new, 1) == pytest.approx(new)
    mixed = blended(old, new, 0.25)
    assert likeness(mixed, old) ** 2 == pytest.approx(0.75, abs=1e-5)
    assert likeness(mixed, new) ** 2 == pytest.approx(0.25, abs=1e-5)
    assert blended(UNKNOWN, new, 0.1) is new
