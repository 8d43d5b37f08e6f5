"""Motion of the middle: where it leads, that both ways mirror each other, and pictures that tell nothing."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from framestate.vision import Image
from framestate.vision.motion import LEAST, MiddleFlow, grey_of


def ground(seed: int = 0) -> Image:
    """A picture with detail of several sizes, 512 x 512."""
    rng = np.random.default_rng(seed)
    layers = [
        cv2.resize(rng.random((side, side, 3), np.float32), (512, 512), interpolation=cv2.INTER_CUBIC)
        for side in (16, 48, 128)
    ]
    return np.clip(sum(layers) * 85, 0, 255).astype(np.uint8)


def window(whole: Image, x: float, y: float, height: int = 192, width: int = 256) -> Image:
    """What is seen from a place on, which need not be a whole number."""
    place = np.array([[1, 0, -x], [0, 1, -y]], np.float32)
    return np.asarray(cv2.warpAffine(whole, place, (width, height), flags=cv2.INTER_CUBIC), np.uint8)


def found(one: Image, other: Image, shrink: int = 8) -> np.ndarray:
    height, width = (side // shrink for side in one.shape[:2])
    return MiddleFlow().find(grey_of(one), grey_of(other), height, width)


@pytest.mark.parametrize("step", [(0.0, 0.0), (3.0, -1.5), (-12.0, 7.0), (0.6, 0.4)])
def test_a_moved_picture(step: tuple[float, float]) -> None:
    """The window moves by ``step``, so what it shows is half a step further on in the first picture."""
    whole = ground()
    flow = found(window(whole, 100, 100), window(whole, 100 + step[0], 100 + step[1])) * 8
    inner = np.median(flow[:, 4:-4, 4:-4], axis=(1, 2))
    np.testing.assert_allclose(inner, [step[0] / 2, step[1] / 2, -step[0] / 2, -step[1] / 2], atol=0.12)


def test_pictures_the_other_way_round_swap_the_halves() -> None:
    whole = ground(1)
    one, other = window(whole, 90, 80), window(whole, 95.5, 84)
    flow, back = found(one, other), found(other, one)
    np.testing.assert_allclose(flow, np.concatenate([back[2:], back[:2]]), atol=1e-5)


def test_mirrored_pictures_mirror_the_flow() -> None:
    whole = ground(2)
    one, other = window(whole, 90, 80), window(whole, 86, 83)
    flow = found(one, other)
    mirrored = found(one[:, ::-1].copy(), other[:, ::-1].copy())[..., ::-1]
    expected = flow * np.array([-1, 1, -1, 1], np.float32)[:, None, None]
    assert np.median(np.abs(mirrored - expected)[:, 4:-4, 4:-4]) < 0.02


@pytest.mark.parametrize("levels", [(0, 0), (255, 255), (0, 255), (90, 100)])
def test_pictures_without_detail(levels: tuple[int, int]) -> None:
    one, other = (np.full((96, 128, 3), level, np.uint8) for level in levels)
    assert np.abs(found(one, other)).max() < 1e-3


@pytest.mark.parametrize(
    "size", [(1, 1), (8, 8), (16, 400), (31, 31), (32, 32), (32, 1024), (400, 34), (64, 96)]
)
def test_any_size(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    one, other = rng.integers(0, 256, (2, *size, 3), np.uint8)
    height, width = (max(1, side // 8) for side in size)
    flow = MiddleFlow().find(grey_of(one), grey_of(other), height, width)
    assert flow.shape == (4, height, width)
    assert flow.dtype == np.float32
    assert np.isfinite(flow).all()
    assert flow.any() == (min(size) // 2 >= LEAST)


def test_threads_may_share_one() -> None:
    whole, finder = ground(5), MiddleFlow()
    greys = [grey_of(window(whole, 80 + 3 * step, 90 + step)) for step in range(6)]
    pairs = [(one, other) for one in greys for other in greys]
    expected = [MiddleFlow().find(one, other, 24, 32) for one, other in pairs]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda pair: finder.find(pair[0], pair[1], 24, 32), pairs))
    assert all(np.array_equal(one, other) for one, other in zip(together, expected, strict=True))
