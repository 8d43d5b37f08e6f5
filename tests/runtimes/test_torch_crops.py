"""Crops made with PyTorch, beside those that ``vision`` makes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from framestate.runtimes.torch_crops import TorchCrops
from framestate.vision import Image, Piece, SquareCrop, cut, normalise
from framestate.vision.pieces import MOST_DENSE

CROPS = [
    SquareCrop(100.0, 80.0, 64.0, 64),  # as it is
    SquareCrop(100.0, 80.0, 40.0, 64),  # larger
    SquareCrop(100.0, 80.0, 90.0, 64),  # a little smaller
    SquareCrop(100.0, 80.0, 130.0, 64),  # two samples a pixel
    SquareCrop(100.5, 80.5, 201.0, 64),  # three, and out of the frame
    SquareCrop(3.0, 4.0, 80.0, 64),  # mostly outside
    SquareCrop(190.0, 150.0, 71.0, 64),  # between pixels, beyond the other corner
    SquareCrop(900.0, 900.0, 64.0, 64),  # nothing to see
    SquareCrop(100.0, 80.0, 700.0, 64),  # so small that the host resizes it
]


@pytest.fixture
def image() -> Image:
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (160, 200, 3), dtype=np.uint8)


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def test_as_vision_makes_them(image: Image, device: str) -> None:
    """On "cuda", not run yet."""
    expected = np.stack([cut(image, crop) for crop in CROPS])
    pieces = [Piece.of(image, crop) for crop in CROPS]
    assert {piece.dense for piece in pieces} == {1, 2, 3}
    raw = TorchCrops(torch.device(device), raw=True)(pieces).cpu().permute(0, 2, 3, 1).numpy()
    difference = np.abs(raw - expected)
    assert difference.max() <= 1, [float(one.max()) for one in difference]
    assert (difference > 0).mean() <= 0.01
    planes = TorchCrops(torch.device(device), raw=False)(pieces).cpu().numpy()
    assert planes.dtype == np.float32
    assert np.abs(planes - normalise(expected)).max() <= 1 / (255 * 0.224) + 1e-5


def test_memory_is_reused_and_no_crop_shares_it(
    image: Image,
) -> None:
    make = TorchCrops(torch.device("cpu"), raw=True)
    first = make([Piece.of(image, CROPS[0])])
    kept, memory = first.clone(), make._pinned.data_ptr()
    make([Piece.of(255 - image, CROPS[0])])
    assert torch.equal(first, kept)
    assert make._pinned.data_ptr() == memory


def test_a_piece_is_what_lies_in_the_frame(image: Image) -> None:
    piece = Piece.of(image, CROPS[5])
    assert (piece.left, piece.top, piece.side) == (37, 36, 80)
    assert piece.pixels.shape == (44, 43, 3)
    assert np.shares_memory(piece.pixels, image)
    dense = Piece.of(image, SquareCrop(100.0, 80.0, 64.0 * (MOST_DENSE + 1), 64))
    assert (dense.side, dense.dense) == (64, 1)
    view = np.zeros((9, 9, 3), np.uint8)
    assert Piece.ready(view).side == 9
