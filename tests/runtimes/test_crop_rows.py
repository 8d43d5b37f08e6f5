"""The kernel that makes crops: its source run on the host makes them as ``vision`` does, to the bit."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import pytest
from framestate.runtimes.device_crops import KERNEL, LEFT, PIECE, describe, levels, num_bytes, pack
from framestate.vision import Image, Piece, SquareCrop, cut, normalise

from .host_gpu import HostCrops, HostCuda
from .host_kernels import on_host

LAUNCH = """
void launch(unsigned x, unsigned y, unsigned threads, const Piece *pieces, float *out, unsigned size)
{
    nb = x; nt = threads;
    for (by = 0; by < y; by++) for (bx = 0; bx < x; bx++)
        for (tx = 0; tx < threads; tx++) crop_rows(pieces, out, size);
}
"""
SIZE = 64
CROPS = [
    SquareCrop(100.0, 80.0, 64.0, SIZE),  # as it is
    SquareCrop(100.0, 80.0, 40.0, SIZE),  # larger
    SquareCrop(100.5, 80.5, 91.0, SIZE),  # a little smaller
    SquareCrop(100.0, 80.0, 130.0, SIZE),  # two samples a pixel
    SquareCrop(100.5, 80.5, 201.0, SIZE),  # three, and out of the frame
    SquareCrop(100.5, 80.5, 263.0, SIZE),  # four
    SquareCrop(101.0, 80.0, 262.0, SIZE),  # halved by the host
    SquareCrop(3.0, 4.0, 80.0, SIZE),  # mostly outside
    SquareCrop(190.0, 150.0, 71.0, SIZE),  # between pixels, beyond the other corner
    SquareCrop(900.0, 900.0, 64.0, SIZE),  # nothing to see
    SquareCrop(100.0, 80.0, 2.0, SIZE),  # almost nothing
    SquareCrop(100.5, 80.5, 701.0, SIZE),  # so small that the host resizes it
]


@pytest.fixture(scope="module")
def launch(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return on_host(KERNEL.with_suffix(".cl"), LAUNCH, tmp_path_factory.mktemp("kernel"))


@pytest.fixture(scope="module")
def image() -> Image:
    return np.random.default_rng(0).integers(0, 256, (160, 200, 3), dtype=np.uint8)


def told(pieces: list[Piece], table: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Describes pieces in a table; returns their pixels, which have to be kept."""
    pixels = np.zeros(num_bytes(pieces), np.uint8)
    starts = [pixels.ctypes.data + start for start in pack(pieces, pixels)]
    describe(pieces, starts, known.ctypes.data, table)
    return pixels


@pytest.mark.parametrize("raw", [False, True])
@pytest.mark.parametrize("blocks", [1, 3, 16])
def test_crops_are_those_of_vision(launch: Any, image: Image, raw: bool, blocks: int) -> None:
    """By the source and by the stand-in; of two rows more, one becomes zeros and one is left as it is."""
    table = np.zeros(len(CROPS) + 2, PIECE)
    known = np.ascontiguousarray(levels(raw=raw))
    kept = told([Piece.of(image, crop) for crop in CROPS], table, known)
    table[-1]["side"] = LEFT
    views = np.stack([cut(image, crop) for crop in CROPS])
    expected = views.transpose(0, 3, 1, 2).astype(np.float32) if raw else normalise(views)
    found = np.full((2, len(table), 3, SIZE, SIZE), 7, np.float32)
    launch(blocks, len(table), 256, *(ctypes.c_void_p(one.ctypes.data) for one in (table, found[0])), SIZE)
    grid, block = (16, len(table), 1), (256, 1, 1)
    HostCrops(HostCuda()).prepared_async_call(
        grid, block, None, table.ctypes.data, found[1].ctypes.data, SIZE
    )
    assert len(kept)
    for one in found:
        assert np.array_equal(one[: len(CROPS)], expected)
        assert (one[-2] == 0).all()
        assert (one[-1] == 7).all()


@pytest.mark.parametrize("size", [1, 33, 127, 256])
def test_of_any_size(launch: Any, image: Image, size: int) -> None:
    crops = [SquareCrop(100.0, 80.0, float(side), size) for side in (2, 31, 64, 90, 128, 158)]
    table, known = np.zeros(len(crops), PIECE), np.ascontiguousarray(levels(raw=True))
    kept = told([Piece.of(image, crop) for crop in crops], table, known)
    found = np.empty((len(crops), 3, size, size), np.float32)
    launch(4, len(crops), 64, *(ctypes.c_void_p(one.ctypes.data) for one in (table, found)), size)
    assert len(kept)
    for one, crop in zip(found, crops, strict=True):
        assert np.array_equal(one, cut(image, crop).transpose(2, 0, 1)), crop
