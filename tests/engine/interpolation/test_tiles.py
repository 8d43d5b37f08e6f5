from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from framestate.engine.interpolation.padding import as_image, as_input, padded_size, put_levels, put_pixels
from framestate.engine.interpolation.tiles import plan
from hypothesis import given, settings
from hypothesis import strategies as st

sides = st.integers(1, 1500)
multiples = st.sampled_from([1, 8, 32])


@settings(max_examples=40)
@given(sides, sides, multiples, st.integers(0, 130), st.integers(20_000, 400_000))
def test_weights_sum_to_one_in_every_pixel(
    height: int, width: int, multiple: int, overlap: int, most: int
) -> None:
    tiles = plan(height, width, multiple=multiple, most=most, overlap=overlap)
    total = np.zeros((height, width, 1), np.float32)
    for tile in tiles:
        weights = tile.weights()
        assert weights.shape[:2] == tile.size
        assert (weights > 0).all()
        total[tile.area] += weights
        assert tile.rows.start % multiple == 0
        assert tile.columns.start % multiple == 0
    assert np.abs(total - 1).max() < 1e-5


@given(sides, sides, multiples)
def test_a_small_frame_is_one_tile(height: int, width: int, multiple: int) -> None:
    (tile,) = plan(height, width, multiple=multiple, most=1600 * 1600, overlap=128)
    assert tile.size == (height, width)


@pytest.mark.parametrize("size", [(2160, 3840), (2160, 4096), (4320, 7680), (1440, 2560), (1080, 8000)])
def test_large_frames_are_cut_into_pieces_of_bounded_size(size: tuple[int, int]) -> None:
    most = 2048 * 1152
    tiles = plan(*size, multiple=32, most=most, overlap=128)
    assert 1 < len(tiles) <= 2 * (size[0] * size[1] // most + 1)
    for tile in tiles:
        height, width = padded_size(*tile.size, 32)
        assert height * width <= most
        fades = (tile.rows.before, tile.rows.after, tile.columns.before, tile.columns.after)
        assert all(fade == 0 or fade >= 128 for fade in fades)


@given(st.integers(1, 70), st.integers(1, 70), multiples)
def test_padding_there_and_back_changes_nothing(height: int, width: int, multiple: int) -> None:
    image = np.random.default_rng(height * width).integers(0, 256, (height, width, 3), dtype=np.uint8)
    tall, wide = padded_size(height, width, multiple)
    planes = as_input(image, tall, wide)
    assert planes.shape == (1, 3, tall, wide)
    assert planes.min() >= 0
    assert planes.max() <= 1
    assert (
        planes[0, :, height - 1 :, width - 1 :] == planes[0, :, height - 1, width - 1][:, None, None]
    ).all()
    assert np.array_equal(as_image(filled(put_levels, planes, height, width, np.float32)), image)
    assert np.array_equal(filled(put_pixels, planes, height, width, np.uint8), image)


def filled(put: Any, made: Any, height: int, width: int, kind: Any, strip: int = 100) -> Any:
    """A picture into which what was made is put some rows at a time."""
    image = np.empty((height, width, 3), kind)
    for first in range(0, height, strip):
        put(image, made[:, :, first : first + strip], first)
    return image


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 99))
def test_pixels_are_levels_rounded(height: int, width: int, seed: int) -> None:
    made = np.random.default_rng(seed).uniform(-0.1, 1.1, (1, 3, height + 3, width + 5)).astype(np.float32)
    expected = as_image(filled(put_levels, made, height, width, np.float32))
    np.testing.assert_array_equal(filled(put_pixels, made, height, width, np.uint8, 7), expected)
