"""The interleaved cross-frame scan: tokens of two frames, place by place in turn, in four directions.

A direction orders the places: 0 row by row, 1 column by column, 2 and 3 those two backwards. In each, the
tokens of a place follow one another, the first frame's before the second's: f0p0, f1p0, f0p1, f1p1, …
(backwards: f1 before f0), so a scan carries what it saw of one frame to the same place of the other.
Source: VFIMamba (arXiv 2407.02315), section 3; its own inverse of the column directions loses places, this
one does not. The flip-based scan (VMamba's SS2D) orders each frame's places so, but keeps the frames apart.
"""

from __future__ import annotations

import torch
from torch import Tensor

DIRECTIONS = 4


def interleave(first: Tensor, second: Tensor) -> Tensor:
    """first, second (B, H, W, C) -> tokens (B, 4, 2·H·W, C)."""
    both = torch.stack([first, second], dim=3)  # (B, H, W, 2, C)
    rows, columns = both.flatten(1, 3), both.transpose(1, 2).flatten(1, 3)
    return torch.stack([rows, columns, rows.flip(1), columns.flip(1)], dim=1)


def deinterleave(tokens: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """tokens (B, 4, 2·H·W, C) -> both frames (B, 4, H, W, C), a direction each, every token at home."""
    rows, columns, rows_back, columns_back = tokens.unbind(1)
    shape = (tokens.shape[0], height, width, 2, tokens.shape[3])
    turned = (shape[0], width, height, 2, shape[4])
    places = [
        rows.reshape(shape),
        columns.reshape(turned).transpose(1, 2),
        rows_back.flip(1).reshape(shape),
        columns_back.flip(1).reshape(turned).transpose(1, 2),
    ]
    first, second = torch.stack(places, dim=1).unbind(4)
    return first, second


def put_in_order(pair: Tensor, *, apart: bool) -> Tensor:
    """pair (2B, H, W, C) -> tokens (B, 4, 2·H·W, C), both frames in turn; ``apart``: (2B, 4, H·W, C)."""
    if not apart:
        return interleave(*pair.unflatten(0, (2, -1)).unbind(0))
    rows, columns = pair.flatten(1, 2), pair.transpose(1, 2).flatten(1, 2)
    return torch.stack([rows, columns, rows.flip(1), columns.flip(1)], dim=1)


def bring_home(tokens: Tensor, height: int, width: int, *, apart: bool) -> Tensor:
    """The inverse of ``put_in_order``, a direction each: (2B, 4, H, W, C)."""
    if not apart:
        return torch.stack(deinterleave(tokens, height, width)).flatten(0, 1)
    rows, columns, rows_back, columns_back = tokens.unbind(1)
    shape = (tokens.shape[0], height, width, tokens.shape[3])
    turned = (shape[0], width, height, shape[3])
    return torch.stack(
        [
            rows.reshape(shape),
            columns.reshape(turned).transpose(1, 2),
            rows_back.flip(1).reshape(shape),
            columns_back.flip(1).reshape(turned).transpose(1, 2),
        ],
        dim=1,
    )
