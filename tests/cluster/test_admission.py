"""New sessions go where there is room, and nowhere when there is none; servers follow the slots in use."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from framestate.cluster.admission import Admission
from framestate.cluster.scaling import TOTAL, USED, BySlots, servers_needed
from framestate.cluster.view import Load, MemberInfo, View
from framestate.errors import CapacityError, UnavailableError
from hypothesis import given
from hypothesis import strategies as st

NAMES = ("a", "b", "c", "d")
VIEW = View(1, tuple(MemberInfo(name, f"{name}:1") for name in NAMES))


def test_sessions_are_spread_by_the_ids_that_are_drawn() -> None:
    admission = Admission(reserve=0.0)
    admission.learn({name: Load(0, 32) for name in NAMES})
    counts = dict.fromkeys(NAMES, 0)
    for _ in range(100):
        owner = VIEW.owner(admission.place(VIEW))
        assert owner is not None
        counts[owner.name] += 1
    assert max(counts.values()) - min(counts.values()) <= 2


def test_a_full_server_gets_nothing_while_another_has_room() -> None:
    admission = Admission(reserve=0.0)
    admission.learn({"a": Load(8, 8), "b": Load(8, 8), "c": Load(0, 8), "d": Load(8, 8)})
    owner = VIEW.owner(admission.place(VIEW))
    assert owner is not None
    assert owner.name == "c"


def test_the_reserve_stays_free_for_sessions_that_move() -> None:
    admission = Admission(reserve=0.1)
    admission.learn({name: Load(0, 10) for name in NAMES})
    for _ in range(36):
        admission.place(VIEW)
    with pytest.raises(CapacityError, match="36 of 40 slots"):
        admission.place(VIEW)
    admission.learn({name: Load(5, 10) for name in NAMES})
    admission.place(VIEW)


def test_without_servers_nothing_is_let_in() -> None:
    with pytest.raises(UnavailableError):
        Admission().place(View())


@given(st.integers(0, 10_000), st.integers(1, 256), st.floats(0.1, 1.0))
def test_the_servers_needed_are_enough_and_no_more(used: int, each: int, target: float) -> None:
    count = servers_needed(used, each, target)
    assert count >= 1
    assert used <= count * each * target + 1e-6
    assert count == 1 or used > (count - 1) * each * target - 1e-6


def test_serves_policy_goes_by_what_the_replicas_report() -> None:
    def context(used: dict[str, float], total: dict[str, float]) -> SimpleNamespace:
        return SimpleNamespace(aggregated_metrics={USED: used, TOTAL: total}, target_num_replicas=3)

    assert BySlots(0.5)(context({"a": 9.0, "b": 2.0}, {"a": 10.0, "b": 10.0})) == (3, {})
    assert BySlots(0.5)(context({"a": 1.0, "b": 0.0}, {"a": 10.0, "b": 10.0})) == (1, {})
    assert BySlots()(SimpleNamespace(aggregated_metrics=None, target_num_replicas=3)) == (3, {})
