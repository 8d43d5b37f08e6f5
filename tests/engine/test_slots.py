"""The pool of rows: whatever is opened and closed, every row is free or used, once."""

from __future__ import annotations

import pytest
from framestate.engine.slots import SlotPool
from framestate.errors import CapacityError
from hypothesis import given
from hypothesis import strategies as st


@given(capacity=st.integers(1, 8), moves=st.lists(st.integers(-1, 20), max_size=60))
def test_rows_are_conserved(capacity: int, moves: list[int]) -> None:
    """-1 opens a session, k closes the (k modulo open)-th of those that are open."""
    pool = SlotPool(capacity)
    opened: list[int] = []
    for move in moves:
        if move >= 0 and opened:
            pool.free(opened.pop(move % len(opened)))
        elif len(opened) < capacity:
            slot = pool.take()
            assert slot not in opened
            opened.append(slot)
        else:
            with pytest.raises(CapacityError, match=f"all {capacity} sessions"):
                pool.take()
        pool.check()
        assert pool.num_used == len(opened)


def test_check_finds_a_row_that_was_lost_or_doubled() -> None:
    pool = SlotPool(3)
    pool._free.pop()
    with pytest.raises(AssertionError):
        pool.check()
    pool._free.append(2)
    with pytest.raises(AssertionError):
        pool.check()


def test_a_free_row_cannot_be_freed() -> None:
    pool = SlotPool(2)
    slot = pool.take()
    pool.free(slot)
    with pytest.raises(AssertionError, match="not in use"):
        pool.free(slot)
