"""Orders in which the patches of a square crop are scanned, and how a reverse scan turns parts of a sequence.

An order is a permutation: entry ``t`` is the raster index, row · grid + column, of patch ``t``.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from .config import Order

Part = tuple[int, bool]
"""Tokens of one part of a sequence, and whether a reverse scan turns it around."""


def scan_order(grid: int, order: Order) -> list[int]:
    """The order of a grid's patches: ``raster`` rows, ``zigzag`` rows there and back, or a Hilbert curve.

    Neighbours in the last two orders are neighbours in the picture. ``hilbert`` needs a power of two.
    """
    if order == "raster":
        return list(range(grid * grid))
    if order == "zigzag":
        return [
            row * grid + (column if row % 2 == 0 else grid - 1 - column)
            for row in range(grid)
            for column in range(grid)
        ]
    return [row * grid + column for row, column in (hilbert_place(grid, t) for t in range(grid * grid))]


def hilbert_place(grid: int, distance: int) -> tuple[int, int]:
    """Row and column of the patch at a distance along the Hilbert curve through a grid (a power of two).

    Two bits of the distance choose a quadrant on each scale; a quadrant's own curve is turned to fit.
    """
    row = column = 0
    side = 1
    while side < grid:
        right = 1 & (distance // 2)
        down = 1 & (distance ^ right)
        if down == 0:
            if right == 1:
                row, column = side - 1 - row, side - 1 - column
            row, column = column, row
        row += side * right
        column += side * down
        distance //= 4
        side *= 2
    return row, column


def inverse(order: Sequence[int]) -> list[int]:
    """The permutation that undoes an order."""
    places = [0] * len(order)
    for place, index in enumerate(order):
        places[index] = place
    return places


def turn(tokens: Tensor, parts: Sequence[Part]) -> Tensor:
    """(B, L, C): each part that is to be turned, reversed within itself. Doing it twice changes nothing."""
    pieces = tokens.split([length for length, _ in parts], dim=1)
    turned = [piece.flip(1) if turns else piece for piece, (_, turns) in zip(pieces, parts, strict=True)]
    return turned[0] if len(turned) == 1 else torch.cat(turned, dim=1)
