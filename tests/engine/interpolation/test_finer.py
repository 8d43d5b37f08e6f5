"""Motion found on smaller frames, made finer: edges stay sharp, and what stands still stays."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import cv2
import numpy as np
import pytest
from framestate.bundles import load_bundle
from framestate.engine import Engine
from framestate.engine.interpolation.finer import finer, sight_of
from framestate.engine.interpolation.outside import remap_is_exact
from framestate.engine.interpolation.strips import enlarged_rows
from framestate.runtimes import Runtime, open_runtime
from framestate.vision import Frame, Image
from hypothesis import given
from hypothesis import strategies as st

from .conftest import PARTS, Without

SIZE = (128, 192)


def texture(seed: int, size: tuple[int, int] = SIZE, blur: float = 2) -> Image:
    noise = np.random.default_rng(seed).integers(0, 256, (*size, 3)).astype(np.uint8)
    return np.asarray(cv2.GaussianBlur(noise, (0, 0), blur), np.uint8)


def flow_of(x: float, y: float = 0) -> Any:
    """Everything moves by (2x, 2y) from the first frame to the second, on a grid of SIZE / 4."""
    flow = np.empty((1, 4, SIZE[0] // 4, SIZE[1] // 4), np.float32)
    flow[0] = np.array([-x, -y, x, y], np.float32)[:, None, None]
    return flow


def shifted(image: Image, x: int) -> Image:
    return np.roll(image, x, axis=1)


def test_motion_that_is_the_same_all_over_stays() -> None:
    first, second = (sight_of(shifted(texture(1), x)) for x in (-4, 4))
    found = finer(flow_of(4.0), first, second)
    assert found.shape == (1, 4, SIZE[0] // 2, SIZE[1] // 2)
    assert np.array_equal(found, np.broadcast_to(flow_of(4.0)[:, :, :1, :1], found.shape))


def test_what_stands_still_over_a_moving_picture_stays() -> None:
    frames = [shifted(texture(1), x) for x in (-4, 4)]
    logo = (slice(40, 80), slice(60, 120))
    for frame in frames:
        frame[logo] = texture(2)[logo]
    found = finer(flow_of(4.0), *map(sight_of, frames))
    inner, outer = found[:, :, 24:36, 36:54], found[:, :, 50:, :]
    assert (inner == 0).mean() > 0.95
    assert np.abs(outer - flow_of(4.0)[:, :, :1, :1]).max() == 0


def test_edges_of_what_moves_are_sharper_than_enlarged_ones() -> None:
    frames = [shifted(texture(1), x) for x in (-4, 4)]
    for frame, x in zip(frames, (8, -8), strict=True):
        frame[:70] = shifted(texture(2), x)[:70]  # the upper part goes the other way
    flow = flow_of(4.0)
    flow[:, :, :17] = flow_of(-8.0)[:, :, :17]  # on the coarse grid the edge is two rows of the picture away
    truth = np.repeat(np.where(np.arange(SIZE[0] // 2) < 35, 8.0, -4.0)[:, None], SIZE[1] // 2, axis=1)
    plain = cv2.resize(flow[0, 0], (SIZE[1] // 2, SIZE[0] // 2))
    found = finer(flow, *map(sight_of, frames))[0, 0]
    near = slice(30, 40)
    assert np.abs(found - truth)[near].mean() < 0.6 * np.abs(plain - truth)[near].mean()


@given(st.integers(1, 9), st.integers(1, 7), st.integers(0, 30), st.integers(1, 36), st.sampled_from([2, 4]))
def test_some_rows_enlarged_are_those_of_the_whole(
    height: int, width: int, start: int, count: int, times: int
) -> None:
    plane = np.random.default_rng(0).random((height, width), dtype=np.float32)
    whole = cv2.resize(plane, (width * times, height * times))
    start = min(start, height * times - 1)
    rows = slice(start, min(start + count, height * times))
    assert np.array_equal(enlarged_rows(plane, rows, times), whole[rows])


@pytest.fixture(scope="module")
def runtime() -> Iterator[Runtime]:
    if not remap_is_exact():
        pytest.skip("OpenCV 4 rounds places")
    opened = open_runtime(load_bundle("interp-nano"), "onnx", device="cpu", threads=1)
    yield opened
    opened.close()


def made(runtime: Runtime, images: list[Any], **options: Any) -> list[Image]:
    with Engine(runtime, capacity=1).open(**options) as session:
        frames = (Frame(image, index, Fraction(1, 25), index) for index, image in enumerate(images))
        return [one.image for frame in frames for one in session.push(frame)]


@pytest.mark.parametrize(("scale", "deep"), [(0.5, False), (0.5, True), (0.25, False)])
def test_frames_are_made_of_small_ones_as_well(runtime: Runtime, scale: float, deep: bool) -> None:
    size = (270, 350)
    pictures: list[Any] = [shifted(texture(3, size, blur=1.5 / scale), 6 * step) for step in range(5)]
    if deep:
        pictures = [image.astype(np.uint16) * 257 for image in pictures]
    counting, full = Without(runtime), Without(runtime, *PARTS)
    found, expected = (made(one, pictures[::2], scale=scale) for one in (counting, full))
    assert {one: counting.calls.count(one) for one in sorted(set(counting.calls))} == {
        "aim": 2, "mend": 2, "encode": 3, "motion": 2,
    }  # fmt: skip

    def error(image: Any, index: int) -> float:
        difference = image.astype(float) - pictures[index]
        return float(np.square(difference[8:-8, 24:-24] / (257 if deep else 1)).mean())

    for index in (1, 3):
        assert found[index].dtype == pictures[0].dtype
        assert error(found[index], index) < error(expected[index], index) + 2
        assert error(found[index], index) < 0.1 * error(pictures[index - 1], index)
