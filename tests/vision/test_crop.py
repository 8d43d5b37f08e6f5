from __future__ import annotations

import math

import cv2
import numpy as np
import pytest
from framestate.errors import BoxError, FrameError, OptionError
from framestate.vision import Box, Image, SquareCrop, around, cut, normalise
from framestate.vision.crop import IMAGENET_MEAN, IMAGENET_STD, Interpolation
from hypothesis import given
from hypothesis import strategies as st

places = st.floats(-2000, 4000)
sides = st.floats(1, 2000)
boxes = st.builds(Box, places, places, sides, sides)


@pytest.fixture(scope="module")
def image() -> Image:
    noise = np.random.default_rng(0).integers(0, 256, (240, 320, 3), dtype=np.uint8)
    smooth: Image = cv2.GaussianBlur(noise, (0, 0), 2.0).astype(np.uint8)
    return smooth


@given(boxes, st.floats(1, 6), st.integers(16, 512), boxes)
def test_to_crop_and_to_image_undo_one_another(target: Box, factor: float, size: int, box: Box) -> None:
    crop = around(target, factor, size)
    assert crop.to_image(crop.to_crop(box)).xywh == pytest.approx(box.xywh, abs=1e-6)
    assert crop.to_crop(crop.to_image(box)).xywh == pytest.approx(box.xywh, abs=1e-6)


@given(boxes, st.floats(1, 6), st.integers(16, 512))
def test_around_lies_on_whole_pixels_and_centres_the_box(target: Box, factor: float, size: int) -> None:
    crop = around(target, factor, size)
    assert crop.left.is_integer()
    assert crop.top.is_integer()
    least = max(math.ceil(math.sqrt(target.w * target.h) * factor), 2)
    halves = 2 ** max(0, math.ceil(math.log2(least / size / 2.5)))
    assert crop.side == math.ceil(least / halves) * halves
    assert crop.cx == pytest.approx(target.centre[0], abs=0.5 + 1e-6)
    assert crop.cy == pytest.approx(target.centre[1], abs=0.5 + 1e-6)
    assert crop.to_crop(crop.box).xywh == pytest.approx((0, 0, size, size))


def test_around_follows_artrack() -> None:
    box = Box(100.0, 50.0, 40.0, 10.0)
    crop = around(box, 4.0, 256)
    side = math.ceil(math.sqrt(40 * 10) * 4)
    assert (crop.left, crop.top, crop.side) == (round(120 - side / 2), round(55 - side / 2), side)
    assert crop.scale == 256 / side


def test_a_crop_of_its_own_size_is_the_slice(image: Image) -> None:
    crop = SquareCrop(100.0, 80.0, 64.0, 64)
    found = cut(image, crop)
    np.testing.assert_array_equal(found, image[48:112, 68:132])
    found[:] = 0
    assert image[48:112, 68:132].any()  # no memory is shared


def test_outside_is_zero(image: Image) -> None:
    assert not cut(image, SquareCrop(-500.0, 50.0, 64.0, 32)).any()
    assert not cut(image, SquareCrop(320 + 32.0, 50.0, 64.0, 32)).any()
    found = cut(image, SquareCrop(0.0, 0.0, 64.0, 64))
    assert not found[:32].any()
    assert not found[:, :32].any()
    np.testing.assert_array_equal(found[32:, 32:], image[:32, :32])


@pytest.mark.parametrize("side", [7.0, 33.0, 64.0, 100.0, 101.0, 150.0, 251.0, 400.0, 1000.0, 5001.0])
@pytest.mark.parametrize("centre", [(160.0, 120.0), (3.0, 5.0), (318.0, 236.0)])
def test_a_crop_shows_each_place_where_to_crop_says(side: float, centre: tuple[float, float]) -> None:
    """A linear ramp keeps its values under any right resampling, so values read back the coordinates."""
    rows, columns = np.mgrid[0:240, 0:320]
    ramp = np.dstack([columns * 0.75, rows, np.full_like(rows, 200)]).round().astype(np.uint8)
    odd = side % 2 / 2
    crop = SquareCrop(centre[0] + odd, centre[1] + odd, side, 64)
    edge = 1 + side // 80  # pixels that are halved reach farther, and it is black outside
    inside = Box(edge, edge, 320 - 2 * edge, 240 - 2 * edge)
    for found in (cut(ramp, crop), cut(ramp, SquareCrop(crop.cx, crop.cy, side + 1e-9, 64))):
        for place in range(64):
            seen = crop.to_image(Box(place, place, 1, 1))
            if inside.intersection(seen) < seen.area - 1e-6:
                continue
            x, y = seen.centre
            assert found[place, place, 0] == pytest.approx((x - 0.5) * 0.75, abs=2 if side > 160 else 1.3)
            assert found[place, place, 1] == pytest.approx(y - 0.5, abs=2 if side > 160 else 1.3)
            assert abs(int(found[place, place, 2]) - 200) <= 1


@given(
    st.floats(-400, 700),
    st.floats(-400, 700),
    st.floats(0.5, 3000),
    st.sampled_from([1, 2, 17, 64]),
    st.booleans(),
)
def test_any_crop_has_its_shape_and_changes_nothing(
    cx: float, cy: float, side: float, size: int, whole: bool
) -> None:
    image = np.full((60, 90, 3), 200, np.uint8)
    if whole:
        side = math.ceil(side)
        cx, cy = round(cx) + side % 2 / 2, round(cy) + side % 2 / 2
    found = cut(image, SquareCrop(cx, cy, side, size))
    assert found.shape == (size, size, 3)
    assert found.dtype == np.uint8
    assert found.flags.c_contiguous
    assert found.max() <= 200
    assert (image == 200).all()


def test_both_ways_of_sampling_agree(image: Image) -> None:
    for side in (20.0, 64.0, 90.0, 110.0, 190.0, 230.0):
        crop = SquareCrop(160.0, 120.0, side, 64)
        between = SquareCrop(160.0, 120.0, side + 1e-7, 64)
        difference = cut(image, crop).astype(int) - cut(image, between)
        inner = abs(difference[1:-1, 1:-1])
        assert (inner.max() <= 3) if side < 2.5 * 64 else (inner.mean() <= 10), side  # one is halved


def test_shrinking_is_as_smooth_as_an_area_average() -> None:
    fine = np.random.default_rng(2).integers(0, 256, (400, 400, 3), dtype=np.uint8)
    stripes = np.zeros((400, 400, 3), np.uint8)
    stripes[:, ::2] = 250
    for image in (fine, stripes):
        for side in (100, 120, 160, 192, 250, 256, 390):
            first = 200 - side // 2
            region = image[first : first + side, first : first + side]
            area = cv2.resize(region, (64, 64), interpolation=cv2.INTER_AREA).astype(int)
            crop = SquareCrop(200.0, 200.0, float(side), 64)
            smooth, plain = cut(image, crop), cut(image, crop, interpolation="linear")
            assert smooth.std() <= area.std() + 8, side
            assert abs(smooth - area).mean() <= max(abs(plain - area).mean(), 1), side
            assert smooth.mean() == pytest.approx(area.mean(), abs=2)


def test_tiny_boxes(image: Image) -> None:
    for box in (Box(0, 0, 1, 1), Box(319, 239, 1, 1), Box(160.5, 120.5, 0.25, 0.25)):
        crop = around(box, 2.0, 192)
        assert crop.side >= 2
        assert cut(image, crop).shape == (192, 192, 3)


@pytest.mark.parametrize("interpolation", ["smooth", "nearest", "linear", "cubic"])
def test_interpolations(image: Image, interpolation: Interpolation) -> None:
    for side in (100.0, 100.5):
        assert cut(image, SquareCrop(160.0, 120.0, side, 64), interpolation=interpolation).any()


def test_unknown_interpolation(image: Image) -> None:
    with pytest.raises(OptionError, match="'area'"):
        cut(image, SquareCrop(160.0, 120.0, 100.0, 64), interpolation="area")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "box",
    [
        Box(math.nan, 0, 5, 5),
        Box(0, 0, math.inf, 5),
        Box(0, 0, 0, 5),
        Box(0, 0, 5, -1),
        Box(0, 0, 1e200, 1e200),
    ],
)
def test_no_crop_around_a_bad_box(box: Box) -> None:
    with pytest.raises(BoxError, match="No crop"):
        around(box, 4.0, 192)


@pytest.mark.parametrize("factor", [0.0, -1.0, math.nan, math.inf])
def test_no_crop_with_a_bad_factor(factor: float) -> None:
    with pytest.raises(BoxError, match="factor"):
        around(Box(0, 0, 5, 5), factor, 192)


@pytest.mark.parametrize("numbers", [(math.nan, 0, 5, 5), (0, 0, 0, 5), (0, 0, 5, 0), (0, 0, math.inf, 5)])
def test_impossible_crops(numbers: tuple[float, float, float, int]) -> None:
    with pytest.raises(BoxError, match="impossible"):
        SquareCrop(*numbers)


def test_cut_wants_rgb() -> None:
    for wrong in (np.zeros((5, 5), np.uint8), np.zeros((5, 5, 3), np.float32), np.zeros((0, 5, 3), np.uint8)):
        with pytest.raises(FrameError, match="shape"):
            cut(wrong, SquareCrop(2.0, 2.0, 4.0, 4))  # type: ignore[arg-type]


@pytest.mark.parametrize("lead", [(), (1,), (3,), (2, 3), (0,)])
def test_normalise(lead: tuple[int, ...]) -> None:
    crops = np.random.default_rng(1).integers(0, 256, (*lead, 8, 12, 3), dtype=np.uint8)
    found = normalise(crops)
    expected = np.moveaxis((crops / 255 - np.array(IMAGENET_MEAN)) / np.array(IMAGENET_STD), -1, -3)
    assert found.dtype == np.float32
    assert found.flags.c_contiguous
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_normalise_takes_strided_crops() -> None:
    crops = np.random.default_rng(1).integers(0, 256, (2, 20, 20, 3), dtype=np.uint8)
    np.testing.assert_array_equal(normalise(crops[:, ::2, 3:9]), normalise(crops[:, ::2, 3:9].copy()))


def test_normalise_wants_rgb() -> None:
    for wrong in (
        np.zeros((5, 5), np.uint8),
        np.zeros((3, 5, 5, 4), np.uint8),
        np.zeros((5, 5, 3), np.float32),
    ):
        with pytest.raises(FrameError, match="crops"):
            normalise(wrong)  # type: ignore[arg-type]
