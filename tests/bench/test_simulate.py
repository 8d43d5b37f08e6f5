"""The simulation obeys the laws that any queue obeys, and agrees with itself done another way."""

from __future__ import annotations

import numpy as np
import pytest
from framestate.bench.simulate import Demand, Machine
from framestate.bench.simulate_nodes import in_order, simulate_fleet
from framestate.errors import OptionError
from hypothesis import given
from hypothesis import strategies as st

DEMAND = Demand(0.0005, 0.001, 0.001, 0.007, 0.002, (0.8, 1.0, 1.2))
times = st.lists(st.tuples(st.floats(0, 10), st.floats(0.001, 2)), min_size=1, max_size=40)


def test_one_session_alone_takes_what_a_frame_costs() -> None:
    outcome = Machine(Demand(0.001, 0.002, 0.003, 0.007, 0.003), [0], cores=2.0).run(20, warm_up=5)
    assert outcome.waits == pytest.approx([0.016] * 20)
    assert outcome.fps == pytest.approx(1 / 0.016)


@pytest.mark.parametrize("servers", [1, 2, 3, 4])
def test_frames_a_second_and_waits_obey_littles_law(servers: int) -> None:
    sessions = [number % servers for number in range(4 * servers)]
    outcome = Machine(DEMAND, sessions, cores=2.0).run(4000)
    assert outcome.fps * np.mean(outcome.waits) == pytest.approx(len(sessions), rel=0.02)


def test_no_more_is_done_than_servers_and_cores_can() -> None:
    fps = [
        Machine(DEMAND, [n % count for n in range(4 * count)], cores=2.0).run(2000).fps for count in (1, 2, 4)
    ]
    assert fps[0] == pytest.approx(1 / DEMAND.step_s, rel=0.03)  # the one server never rests
    assert fps[1] > 1.4 * fps[0]
    whole = DEMAND.load_s + DEMAND.front_s + DEMAND.server_s + DEMAND.step_s
    assert fps[2] == pytest.approx(2.0 / whole, rel=0.03)  # nor does any core


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
    with pytest.raises(OptionError, match="spread"):
        Demand(0, 0, 0, 0.01, 0, ())
    with pytest.raises(OptionError, match="cores"):
        Machine(DEMAND, [0], cores=0)
    with pytest.raises(OptionError, match="utilisation"):
        simulate_fleet(DEMAND, 2, 2, utilisation=1.0)
