"""The simulation obeys the laws that any queue obeys, and agrees with itself done another way."""

from __future__ import annotations

import random

import numpy as np
import pytest
from framestate.bench.cores import Cores, Lock, Thread
from framestate.bench.simulate import Demand, Machine
from framestate.bench.simulate_nodes import in_order, simulate_fleet
from framestate.errors import OptionError
from hypothesis import given
from hypothesis import strategies as st

STEP = 0.007
DEMAND = Demand(0.0005, 0.001, 0.001, (0.001,), (0.8 * STEP, STEP, 1.2 * STEP), 0.002, 0.0005)
times = st.lists(st.tuples(st.floats(0, 10), st.floats(0.001, 2)), min_size=1, max_size=40)


def test_one_session_alone_takes_what_a_frame_costs() -> None:
    demand = Demand(0.001, 0.002, 0.002, (0.001,), (0.007,), 0.003, 0.001)
    outcome = Machine(demand, [0], cores=2).run(20, warm_up=5)
    assert outcome.waits == pytest.approx([0.016] * 20)
    assert outcome.fps == pytest.approx(1 / 0.016)


@pytest.mark.parametrize("servers", [1, 2, 3, 4])
def test_frames_a_second_and_waits_obey_littles_law(servers: int) -> None:
    sessions = [number % servers for number in range(4 * servers)]
    outcome = Machine(DEMAND, sessions, cores=2).run(2000)
    assert outcome.fps * np.mean(outcome.waits) == pytest.approx(len(sessions), rel=0.02)


def test_no_more_is_done_than_servers_and_cores_can() -> None:
    fps = [
        Machine(DEMAND, [n % count for n in range(4 * count)], cores=2).run(1000).fps for count in (1, 2, 4)
    ]
    engine = DEMAND.step_s + DEMAND.server_s / 4
    assert 0.85 / engine < fps[0] <= 1.03 / engine  # the one server hardly rests
    assert fps[1] > 1.3 * fps[0]
    whole = DEMAND.load_s + DEMAND.front_s + DEMAND.server_s + DEMAND.decode_s + DEMAND.step_s
    assert fps[2] == pytest.approx(2.0 / whole, rel=0.03)  # nor does any core


def test_what_others_take_is_missing() -> None:
    """A tenth of both cores is taken by others, who are served as fairly as anybody."""
    owners = [number % 4 for number in range(16)]
    gaps = tuple((0.01 * number, 0.001) for number in range(100))
    free = Machine(DEMAND, owners, cores=2).run(1000)
    less = Machine(DEMAND, owners, cores=2, others=(gaps, gaps), period_s=1.0).run(1000)
    assert less.fps == pytest.approx(free.fps * 0.9, rel=0.03)
    assert np.percentile(less.waits, 99) > np.percentile(free.waits, 99)


def test_threads_that_want_more_than_there_is_share_it_fairly() -> None:
    """Three on two cores: no core rests, and over a long time everybody has as much."""
    cores = Cores(2, random.Random(1))
    done = [0] * 3

    def again(number: int, thread: Thread) -> None:
        done[number] += 1
        cores.begin(thread, [(0.005, False)], lambda: again(number, thread))

    for number in range(3):
        again(number, cores.thread())
    while cores.now < 30.0:
        cores.advance()
    assert sum(done) == pytest.approx(2 * 30.0 / 0.005, rel=0.001)


def test_a_core_is_kept_for_a_tick_and_taken_by_who_wakes() -> None:
    cores = Cores(1, random.Random(2), tick_s=0.004)
    ends: list[tuple[str, float]] = []
    for name in "ab":
        cores.begin(cores.thread(), [(0.008, False)], lambda name=name: ends.append((name, cores.now)))  # type: ignore[misc]
    sleeper = cores.thread()
    woken = 0.0

    def wake() -> None:
        nonlocal woken
        woken = cores.now
        cores.begin(sleeper, [(0.0001, False)], lambda: ends.append(("woken", cores.now)))

    cores.later(0.0035, wake)
    while len(ends) < 3:
        cores.advance()
    assert ends[0][0] == "woken"
    assert ends[0][1] - woken <= 2 * 0.004  # a tick comes too early for one that has just begun
    assert ends[2][1] == pytest.approx(0.0161)
    assert ends[2][1] - ends[1][1] < 0.0075  # they took turns


def test_nobody_works_beside_the_one_who_has_the_lock() -> None:
    cores, lock = Cores(2, random.Random(3)), Lock()
    ends: list[float] = []
    for number in range(2):
        parts = [(0.002, True), (0.003, False)]
        cores.begin(cores.thread(lock, number), parts, lambda: ends.append(cores.now))
    while len(ends) < 2:
        cores.advance()
    assert ends == pytest.approx([0.005, 0.007])


@given(times)
def test_one_after_another_is_what_a_loop_over_events_gives(pairs: list[tuple[float, float]]) -> None:
    arrivals = np.sort([arrival for arrival, _ in pairs])
    services = np.array([service for _, service in pairs])
    free, expected = 0.0, []
    for arrival, service in zip(arrivals, services, strict=True):
        free = max(free, arrival) + service
        expected.append(free - arrival)
    assert in_order(arrivals, services) == pytest.approx(expected)


def test_what_the_front_draws_is_more_even_and_waits_less() -> None:
    fleet = simulate_fleet(DEMAND, 50, 12, utilisation=0.7, seconds=2.0)
    assert fleet.drawn_worst < fleet.hash_worst
    assert fleet.p99_ms < fleet.hash_p99_ms
    assert fleet.joining == pytest.approx(1 / 51, rel=0.6)
    assert fleet.leaving == pytest.approx(1 / 50, rel=0.6)
    busier = simulate_fleet(DEMAND, 50, 12, utilisation=0.9, seconds=2.0)
    assert busier.p99_ms > fleet.p99_ms


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(OptionError, match="no step"):
        Demand(0, 0, 0, (0.001,), ())
    with pytest.raises(OptionError, match="cores"):
        Machine(DEMAND, [0], cores=0)
    with pytest.raises(OptionError, match="utilisation"):
        simulate_fleet(DEMAND, 2, 2, utilisation=1.0)
