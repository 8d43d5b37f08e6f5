"""Crops as the kernel ``crop_rows`` makes them: what it is told of each, and the pixels of all of them.

A runtime whose device makes crops is told them before it knows where it will put them. So its ``CropMaker``
only keeps the pieces, and the call that they are for packs their pixels beside all else that it uploads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..bundles import TensorSpec
from ..vision import Piece, normalise
from .protocol import DeviceInput

KERNEL = Path(__file__).parent / "crop_rows.ptx"
PIECE = np.dtype(
    {
        "names": ["pixels", "levels", "scale", "share", "side", "left", "top", "width", "height", "dense"],
        "formats": ["<u8", "<u8", "<f8", "<f4", *["<i4"] * 6],
        "itemsize": 56,
    }
)
"""What the kernel is told of one row: ``Piece`` in its source."""
ZEROS, LEFT = 0, -1
"""Instead of a side: the row becomes zeros, or is left as it is."""
USUAL_SIDE = 1.5
"""Most crops' pixels have sides up to this many times the crop's size; beyond, samples are averaged."""


@dataclass(frozen=True, eq=False)
class Pending:
    """Crops of a batch that a call will make where it needs them."""

    pieces: tuple[Piece, ...]
    raw: bool

    def part(self, first: int, count: int) -> DeviceInput:
        """Some of them, as an input."""
        return pending(self.pieces[first : first + count], raw=self.raw)


def joined(parts: Sequence[Pending]) -> Pending:
    """Those of several batches as one; all are raw, or none."""
    return Pending(tuple(piece for part in parts for piece in part.pieces), parts[0].raw)


def pending(pieces: Sequence[Piece], *, raw: bool) -> DeviceInput:
    """See ``CropMaker``."""
    size = pieces[0].size
    return DeviceInput(Pending(tuple(pieces), raw), (len(pieces), 3, size, size), np.dtype(np.float32))


def is_crop(tensor: TensorSpec) -> bool:
    """Whether an input may be a crop: (batch, 3, size, size) float32."""
    shape = tensor.shape
    return (
        len(shape) == 4
        and tensor.dtype == "float32"
        and shape[1] == 3
        and isinstance(shape[2], int)
        and shape[2] == shape[3]
    )


def levels(*, raw: bool) -> npt.NDArray[np.float32]:
    """What each value of a byte becomes in red, green and blue, (3, 256)."""
    each = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, 2)
    if raw:
        return np.ascontiguousarray(each[0].T, np.float32)
    return normalise(each)[:, 0]


def num_bytes(pieces: Sequence[Piece]) -> int:
    """Of their pixels."""
    return sum(piece.pixels.size for piece in pieces)


def pack(pieces: Sequence[Piece], block: npt.NDArray[np.uint8]) -> list[int]:
    """Puts the pixels of pieces into a block, one after another; returns where each begins."""
    starts, end = [], 0
    for piece in pieces:
        starts.append(end)
        end += piece.pixels.size
        block[starts[-1] : end].reshape(piece.pixels.shape)[...] = piece.pixels
    return starts


def describe(pieces: Sequence[Piece], places: Sequence[int], levels: int, table: npt.NDArray[Any]) -> None:
    """Tells the kernel of pieces whose pixels, and levels, are at some addresses; rows after them are zeros.

    ``table`` is of ``PIECE``, a row each.
    """
    table[len(pieces) :] = 0
    for row, (piece, place) in enumerate(zip(pieces, places, strict=True)):
        height, width = piece.pixels.shape[:2]
        scale = 1.0 / (piece.size * piece.dense / float(piece.side))  # rounded as OpenCV rounds it
        share = np.float32(1) / np.float32(piece.dense**2)
        table[row] = (
            place, levels, scale, share, piece.side, piece.left, piece.top, width, height, piece.dense
        )  # fmt: skip
