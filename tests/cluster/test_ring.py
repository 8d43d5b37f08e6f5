"""The ring spreads keys evenly, moves no key that it need not, and is the same for everybody."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from framestate.cluster.ring import Ring
from framestate.errors import OptionError
from hypothesis import given
from hypothesis import strategies as st

KEYS = [f"session-{number}" for number in range(4000)]
names = st.sets(st.text("abcdefgh", min_size=1, max_size=4), min_size=1, max_size=12)


@given(names, st.text("xyz", min_size=1, max_size=8))
def test_who_joins_takes_and_nothing_else_moves(members: set[str], new: str) -> None:
    before, after = Ring(members, points=32), Ring({*members, new}, points=32)
    for key in KEYS[:200]:
        assert after.owner(key) in (before.owner(key), new)


@given(names)
def test_who_leaves_gives_and_nothing_else_moves(members: set[str]) -> None:
    gone = min(members)
    before, after = Ring(members, points=32), Ring(members - {gone}, points=32)
    for key in KEYS[:200]:
        if before.owner(key) != gone:
            assert after.owner(key) == before.owner(key)
        else:
            assert after.owner(key) != gone


@given(names)
def test_one_key_at_a_time_is_the_same_as_all_at_once(members: set[str]) -> None:
    ring = Ring(members, points=16)
    assert [ring.members[number] for number in ring.owners(KEYS[:50])] == [
        ring.owner(key) for key in KEYS[:50]
    ]


@pytest.mark.parametrize("count", [2, 5, 16])
def test_keys_are_spread_evenly(count: int) -> None:
    shares = np.bincount(Ring(f"node-{n}" for n in range(count)).owners(KEYS), minlength=count) / len(KEYS)
    assert shares.max() < 1.3 / count
    assert shares.min() > 0.7 / count


def test_another_process_has_the_same_ring() -> None:
    code = "from framestate.cluster.ring import Ring; print(Ring('bac').owners(list('0123456789')).tolist())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == str(Ring(["a", "b", "c"]).owners(list("0123456789")).tolist())


def test_an_empty_ring_owns_nothing() -> None:
    assert Ring([]).owner("x") is None


def test_a_name_is_there_once() -> None:
    with pytest.raises(OptionError, match="once"):
        Ring(["a", "a"])
    with pytest.raises(OptionError, match="points is 0"):
        Ring(["a"], points=0)
