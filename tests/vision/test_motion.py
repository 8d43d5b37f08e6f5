"""Motion of the middle: where it leads and how it bends, both ways alike, and pictures that tell nothing."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import cv2
import numpy as np
import pytest
from framestate.vision import Image
from framestate.vision.motion import LEAST, WAYS, MiddleFlow, Neighbour, PairFlow, bend_of, grey_of, mended


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


def found(one: Image, other: Image, way: str = "dis") -> np.ndarray:
    height, width = (side // 8 for side in one.shape[:2])
    return MiddleFlow(way).find(grey_of(one), grey_of(other), height, width).middle


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("step", [(0.0, 0.0), (3.0, -1.5), (-12.0, 7.0), (0.6, 0.4)])
def test_a_moved_picture(step: tuple[float, float], way: str) -> None:
    """The window moves by ``step``, so what it shows is half a step further on in the first picture."""
    whole = ground()
    flow = found(window(whole, 100, 100), window(whole, 100 + step[0], 100 + step[1]), way) * 8
    inner = np.median(flow[:, 4:-4, 4:-4], axis=(1, 2))
    np.testing.assert_allclose(inner, [step[0] / 2, step[1] / 2, -step[0] / 2, -step[1] / 2], atol=0.12)


@pytest.mark.parametrize("way", WAYS)
def test_pictures_the_other_way_round_swap_the_halves(way: str) -> None:
    whole = ground(1)
    one, other = window(whole, 90, 80), window(whole, 95.5, 84)
    flow, back = found(one, other, way), found(other, one, way)
    np.testing.assert_allclose(flow, np.concatenate([back[2:], back[:2]]), atol=1e-5)


def test_mirrored_pictures_mirror_the_flow() -> None:
    whole = ground(2)
    one, other = window(whole, 90, 80), window(whole, 86, 83)
    flow = found(one, other)
    mirrored = found(one[:, ::-1].copy(), other[:, ::-1].copy())[..., ::-1]
    expected = flow * np.array([-1, 1, -1, 1], np.float32)[:, None, None]
    assert np.median(np.abs(mirrored - expected)[:, 4:-4, 4:-4]) < 0.02


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("levels", [(0, 0), (255, 255), (0, 255), (90, 100)])
def test_pictures_without_detail(levels: tuple[int, int], way: str) -> None:
    one, other = (np.full((96, 128, 3), level, np.uint8) for level in levels)
    assert np.abs(found(one, other, way)).max() < 1e-3


def test_a_flow_that_is_a_little_off_is_mended() -> None:
    whole = ground(3)
    first, second = (grey_of(window(whole, x, 100)) for x in (100, 102.4))
    real = np.array([0.15, 0, -0.15, 0], np.float32).reshape(4, 1, 1) + np.zeros((4, 24, 32), np.float32)
    off = real + np.array([-0.05, 0.04, 0.05, -0.04], np.float32).reshape(4, 1, 1)
    before, after = (np.abs(flow - real)[:, 3:-3, 3:-3].mean() for flow in (off, mended(first, second, off)))
    assert after < before / 3


def test_what_is_mended_moves_both_ways_alike_and_by_a_pixel_at_most() -> None:
    rng = np.random.default_rng(5)
    first, second = rng.integers(0, 256, (2, 96, 64), np.uint8)
    step = mended(first, second, np.zeros((4, 24, 16), np.float32))
    np.testing.assert_allclose(step[:2], -step[2:], atol=1e-6)
    assert 0 < np.hypot(*step[2:]).max() <= 0.5 / 4 + 1e-6


@pytest.mark.parametrize(
    "size", [(1, 1), (8, 8), (16, 400), (31, 31), (32, 32), (32, 1024), (400, 34), (64, 96)]
)
@pytest.mark.parametrize("way", WAYS)
def test_any_size(size: tuple[int, int], way: str) -> None:
    rng = np.random.default_rng(0)
    one, other = rng.integers(0, 256, (2, *size, 3), np.uint8)
    height, width = (max(1, side // 8) for side in size)
    flow = MiddleFlow(way).find(grey_of(one), grey_of(other), height, width).middle
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
    assert all(
        np.array_equal(one.middle, other.middle) for one, other in zip(together, expected, strict=True)
    )


SPEED, TURN = np.array([4.0, -3.0]), np.array([2.0, 1.2])  # px a step, and how much more with each


def scene_at(whole: Image, time: float) -> Image:
    """The window on its parabola; what it shows moves the other way."""
    x, y = 130 + SPEED * time + TURN * time**2 / 2
    return window(whole, x, y)


def pair_at(whole: Image, start: float, end: float) -> PairFlow:
    greys = [grey_of(scene_at(whole, time)) for time in (start, end)]
    return MiddleFlow().find(greys[0], greys[1], 24, 32)


@pytest.mark.parametrize(("before", "after"), [(1.0, 1.0), (2.0, 0.5)])
def test_pairs_around_tell_how_the_motion_bends(before: float, after: float) -> None:
    """Whatever they last: half-way lies an eighth of the acceleration beside the straight line."""
    whole = ground(3)
    pair = pair_at(whole, 0, 1)
    around = (
        Neighbour(pair_at(whole, -before, 0), 1 / before),
        Neighbour(pair_at(whole, 1, 1 + after), 1 / after),
    )
    bend = bend_of(pair, *around) * 8
    inner = np.median(bend[:, 4:-4, 4:-4], axis=(1, 2))
    np.testing.assert_allclose(inner, [*(TURN / 8), *(TURN / 8)], atol=0.06)
    # and so the middle is where it really is
    truth = scene_at(whole, 0.5).astype(np.float32)
    straight, bent = (fetched(scene_at(whole, 0), pair.middle[:2] * 8 - aside) for aside in (0, bend[:2]))
    inside = np.s_[24:-24, 24:-24]
    assert np.abs(bent - truth)[inside].mean() < 0.7 * np.abs(straight - truth)[inside].mean()


def fetched(image: Image, flow: np.ndarray) -> np.ndarray:
    """A picture, sampled along a flow that is known on a coarser grid, in pixels of the picture."""
    height, width = image.shape[:2]
    large = cv2.resize(np.ascontiguousarray(flow.transpose(1, 2, 0)), (width, height))
    columns, rows = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    return cv2.remap(
        image.astype(np.float32), columns + large[..., 0], rows + large[..., 1], cv2.INTER_LINEAR
    )


def test_a_pair_alone_bends_nowhere() -> None:
    whole = ground(3)
    pair = pair_at(whole, 0, 1)
    assert not bend_of(pair, None, None).any()
    told = bend_of(pair, Neighbour(pair_at(whole, -1, 0)), None)
    assert told[:2].any()
    assert not told[2:].any()


def test_time_reversed_swaps_before_and_after() -> None:
    whole = ground(4)
    ahead = [pair_at(whole, *span) for span in pairwise((-1.0, 0.0, 1.0, 2.0))]
    back = [pair_at(whole, *span) for span in pairwise((2.0, 1.0, 0.0, -1.0))]
    one, other = (bend_of(way[1], Neighbour(way[0]), Neighbour(way[2])) for way in (ahead, back))
    np.testing.assert_allclose(one, np.concatenate([other[2:], other[:2]]), atol=1e-4)
