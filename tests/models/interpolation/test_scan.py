"""The interleaved scan: what goes in order comes home, in all four directions."""

from __future__ import annotations

import torch
from framestate.models.interpolation.scan import DIRECTIONS, deinterleave, interleave
from hypothesis import given, settings
from hypothesis import strategies as st

sides = st.integers(1, 9)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 3), sides, sides, st.integers(1, 5))
def test_every_direction_brings_every_token_home(batch: int, height: int, width: int, channels: int) -> None:
    count = batch * height * width * channels
    first = torch.arange(count).reshape(batch, height, width, channels)
    second = first + count
    tokens = interleave(first, second)
    assert tokens.shape == (batch, DIRECTIONS, 2 * height * width, channels)
    ones, others = deinterleave(tokens, height, width)
    for direction in range(DIRECTIONS):
        assert torch.equal(ones[:, direction], first)
        assert torch.equal(others[:, direction], second)


@settings(max_examples=30, deadline=None)
@given(sides, sides, st.integers(0, 10))
def test_home_is_where_it_came_from_whatever_the_tokens_are(height: int, width: int, seed: int) -> None:
    tokens = torch.rand(2, DIRECTIONS, 2 * height * width, 3, generator=torch.Generator().manual_seed(seed))
    ones, others = deinterleave(tokens, height, width)
    for direction in range(DIRECTIONS):
        back = interleave(ones[:, direction], others[:, direction])
        assert torch.equal(back[:, direction], tokens[:, direction])


def test_the_four_orders() -> None:
    first = torch.tensor([[0, 1, 2], [3, 4, 5]]).reshape(1, 2, 3, 1)
    orders = interleave(first, first + 10)[0, :, :, 0].tolist()
    assert orders == [
        [0, 10, 1, 11, 2, 12, 3, 13, 4, 14, 5, 15],
        [0, 10, 3, 13, 1, 11, 4, 14, 2, 12, 5, 15],
        [15, 5, 14, 4, 13, 3, 12, 2, 11, 1, 10, 0],
        [15, 5, 12, 2, 14, 4, 11, 1, 13, 3, 10, 0],
    ]
