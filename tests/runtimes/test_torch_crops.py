"""Crops of PyTorch's device, by the kernel or its stand-in: those that ``vision`` makes, to the bit."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from framestate.runtimes.device_crops import Pending
from framestate.runtimes.torch_crops import TorchCrops, cuda_launch
from framestate.vision import Image, Piece, SquareCrop, cut, normalise
from framestate.vision.pieces import MOST_DENSE

from .host_graphs import host_crops
from .test_crop_rows import CROPS


@pytest.fixture
def image() -> Image:
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (160, 200, 3), dtype=np.uint8)


@pytest.mark.parametrize("raw", [False, True])
@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)])
def test_as_vision_makes_them(image: Image, device: str, raw: bool) -> None:
    """On "cuda", not run yet."""
    views = np.stack([cut(image, crop) for crop in CROPS])
    pieces = tuple(Piece.of(image, crop) for crop in CROPS)
    assert {piece.dense for piece in pieces} == {1, 2, 3, 4}
    launch = host_crops if device == "cpu" else cuda_launch()
    found = TorchCrops(torch.device(device), launch)(Pending(pieces, raw)).cpu().numpy()
    expected = views.transpose(0, 3, 1, 2).astype(np.float32) if raw else normalise(views)
    assert np.array_equal(found, expected)


def test_memory_is_reused_and_no_crop_shares_it(image: Image) -> None:
    make = TorchCrops(torch.device("cpu"), host_crops)
    first = make(Pending((Piece.of(image, CROPS[0]),), True))
    kept, memory = first.clone(), make._pinned.data_ptr()
    make(Pending((Piece.of(255 - image, CROPS[0]),), True))
    assert torch.equal(first, kept)
    assert make._pinned.data_ptr() == memory


def test_a_piece_is_what_lies_in_the_frame(image: Image) -> None:
    piece = Piece.of(image, SquareCrop(3.0, 4.0, 80.0, 64))
    assert (piece.left, piece.top, piece.side) == (37, 36, 80)
    assert piece.pixels.shape == (44, 43, 3)
    assert np.shares_memory(piece.pixels, image)
    halved = Piece.of(image, SquareCrop(100.0, 80.0, 64.0 * (MOST_DENSE + 1), 64))
    assert (halved.side, halved.dense, halved.pixels.shape) == (160, 2, (80, 100, 3))
    dense = Piece.of(image, SquareCrop(100.5, 80.5, 64.0 * (MOST_DENSE + 1) + 1, 64))
    assert (dense.side, dense.dense) == (64, 1)
    view = np.zeros((9, 9, 3), np.uint8)
    assert Piece.ready(view).side == 9
