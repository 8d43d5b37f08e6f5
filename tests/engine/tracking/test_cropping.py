"""Crops as a manifest asks for them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from framestate.bundles import JSON, Bundle
from framestate.engine.tracking.cropping import Cropping, paint_outside
from framestate.errors import BundleError
from framestate.vision import Box, SquareCrop

MakeCropping = Callable[..., Cropping]
SIZES: dict[str, JSON] = {
    "template_size": 32,
    "template_factor": 2.0,
    "search_size": 64,
    "search_factor": 4.0,
}


@pytest.fixture
def cropping(tiny_bundle: Bundle) -> MakeCropping:
    def make(**preprocess: JSON) -> Cropping:
        return Cropping(replace(tiny_bundle.spec, preprocess={**SIZES, **preprocess}))

    return make


def test_sides_are_in_units_of_the_target(cropping: MakeCropping) -> None:
    box = Box.from_centre(100, 80, 40, 10)  # sqrt(w h) = 20
    plain = cropping()
    assert (plain.template(box).side, plain.template(box).size) == (40, 32)
    assert (plain.search(box, 1.0).side, plain.search(box, 1.0).size) == (80, 64)
    assert plain.search(box, 1.5).side == 120
    wide = cropping(context=0.5)  # sqrt((40 + 25) (10 + 25)) = 47.7
    assert wide.template(box).side == 96


def test_pixels_are_normalised_or_left_alone(cropping: MakeCropping) -> None:
    image = np.full((100, 120, 3), (255, 0, 128), np.uint8)
    crop = SquareCrop(60, 50, 40, 64)
    plain = cropping(normalisation="none")
    raw = plain.planes([plain.view(image, crop, None)])
    assert raw.shape == (1, 3, 64, 64)
    assert raw.dtype == np.float32
    assert [float(raw[0, c].mean()) for c in range(3)] == [255, 0, 128]
    normal = cropping().planes(2 * [cropping().view(image, crop, None)])
    assert normal.shape == (2, 3, 64, 64)
    assert normal[0, 0].mean() == pytest.approx((1 - 0.485) / 0.229, abs=1e-3)


def test_what_lies_outside_has_the_first_frames_mean(cropping: MakeCropping) -> None:
    image = np.zeros((40, 40, 3), np.uint8)
    image[:, :20] = (200, 100, 50)
    mean = cropping(padding="mean", normalisation="none")
    fill = mean.fill(image)
    assert fill is not None
    assert fill.tolist() == [100, 50, 25]
    crop = SquareCrop(0, 20, 40, 64)
    pixels = mean.planes([mean.view(image, crop, fill)])[0]
    assert pixels[:, 32, 8].tolist() == [100, 50, 25]
    assert pixels[:, 32, 56].tolist() == [200, 100, 50]
    assert cropping().fill(image) is None


@pytest.mark.parametrize(
    ("crop", "inside"),
    [
        (SquareCrop(20, 20, 40, 80), (slice(None), slice(None))),
        (SquareCrop(0, 20, 40, 80), (slice(None), slice(40, 80))),
        (SquareCrop(40, 20, 40, 80), (slice(None), slice(0, 40))),
        (SquareCrop(20, 0, 40, 80), (slice(40, 80), slice(None))),
        (SquareCrop(20, 40, 40, 80), (slice(0, 40), slice(None))),
        (SquareCrop(20, 20, 80, 80), (slice(20, 60), slice(20, 60))),
        (SquareCrop(500, 20, 40, 80), (slice(0, 0), slice(0, 0))),
        (SquareCrop(-500, 20, 40, 80), (slice(0, 0), slice(0, 0))),
        (SquareCrop(20, -500, 40, 80), (slice(0, 0), slice(0, 0))),
    ],
)
def test_paint_covers_all_that_is_outside(crop: SquareCrop, inside: tuple[slice, slice]) -> None:
    piece = np.full((80, 80, 3), 9, np.uint8)
    paint_outside(piece, crop, np.zeros((40, 40, 3), np.uint8), np.array([1, 2, 3], np.uint8))
    expected = np.empty((80, 80, 3), np.uint8)
    expected[:] = (1, 2, 3)
    expected[inside] = 9
    assert np.array_equal(piece, expected)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"normalisation": "inception"}, r"preprocess\.normalisation"),
        ({"padding": "mirror"}, r"preprocess\.padding"),
        ({"search_size": "64"}, r"preprocess\.search_size"),
        ({"template_factor": None}, r"preprocess\.template_factor"),
    ],
)
def test_manifests_that_ask_for_what_there_is_not(
    cropping: MakeCropping, change: dict[str, JSON], problem: str
) -> None:
    with pytest.raises(BundleError, match=problem):
        cropping(**change)
