"""Whoever wants a core notes when somebody else has it."""

from __future__ import annotations

import os

import pytest
from framestate.bench.background import watched


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="processes cannot be kept on a core here")
def test_two_that_want_the_same_core_have_half_of_it_each() -> None:
    first, second = watched([0, 0], 0.6)
    taken = [sum(gap for _, gap in one) for one in (first, second)]
    assert all(one > 0.2 for one in taken)  # seconds in which the other one ran, or a third
    assert sum(taken) >= 0.57
    for gaps in (first, second):
        ends = [0.0, *(at + gap for at, gap in gaps)]
        assert all(at >= end for (at, _), end in zip(gaps, ends, strict=False))
