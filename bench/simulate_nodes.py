"""Clusters of up to ten thousand nodes: how evenly the ring spreads sessions, and what waiting comes of it"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np
from rich.table import Table

from ..cluster.ring import Ring
from ..errors import OptionError
from .simulate import Demand

Floats = np.ndarray[tuple[int], np.dtype[np.float64]]
TRIES = 16
"""Ids that the front draws for a new session, to take the one whose server has the most room."""


@dataclass(frozen=True)
class Fleet:
    """One size of a cluster.

    Attributes:
        nodes: servers, each with one worker.
        sessions: of all.
        hash_worst: sessions of the fullest server over the mean, where clients choose the ids.
        drawn_worst: the same where the front draws them.
        joining: share of the sessions that move when a server joins.
        leaving: share that moves when one leaves.
        p50_ms, p99_ms: from a frame's arrival at its server to its answer, ids drawn by the front.
        hash_p99_ms: the same, ids chosen by clients.
        utilisation: of the servers, on average.
    """

    nodes: int
    sessions: int
    hash_worst: float
    drawn_worst: float
    joining: float
    leaving: float
    p50_ms: float
    p99_ms: float
    hash_p99_ms: float
    utilisation: float

    def to_json(self) -> dict[str, float]:
        """An entry of ``fleets`` as ``bench simulate --json`` prints it."""
        return asdict(self)


def simulate_fleet(
    demand: Demand, nodes: int, each: int, *, utilisation: float, seconds: float = 4.0, seed: int = 0
) -> Fleet:
    """A cluster of ``nodes`` servers with ``each`` sessions on average, all sending by the clock.

    Args:
        demand: of a frame; of it, only the step, on a server with a core for the rest.
        nodes, each: 1 or more.
        utilisation: share of the time that an average server works; it sets the sessions' frame rate.
        seconds: that are simulated.
        seed: of ids, phases and spread.

    Raises:
        OptionError: a number is out of its range.
    """
    if min(nodes, each) < 1 or not 0 < utilisation < 1 or seconds <= 0:
        raise OptionError(
            f"{nodes} nodes, {each} sessions each, utilisation {utilisation}",
            "give 1 or more, and a share below 1",
        )
    rng = np.random.default_rng(seed)
    names = [f"node-{number}" for number in range(nodes)]
    keys = [f"{seed}-{number}" for number in range(nodes * each)]
    ring = Ring(names)
    chosen = ring.owners(keys)
    drawn = placed(ring, nodes * each, seed)
    rate = utilisation / (each * demand.step_s)
    waits = [node_waits(demand, owners, nodes, rate, seconds, rng) for owners in (drawn, chosen)]
    return Fleet(
        nodes,
        len(keys),
        hash_worst=worst(chosen, nodes, each),
        drawn_worst=worst(drawn, nodes, each),
        joining=moved(ring, Ring([*names, "node-new"]), keys),
        leaving=moved(ring, Ring(names[1:]), keys) if nodes > 1 else 1.0,
        p50_ms=1e3 * float(np.percentile(waits[0], 50)),
        p99_ms=1e3 * float(np.percentile(waits[0], 99)),
        hash_p99_ms=1e3 * float(np.percentile(waits[1], 99)),
        utilisation=utilisation,
    )


def placed(ring: Ring, count: int, seed: int) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
    """Owners of sessions whose ids the front draws: of ``TRIES`` ids, the one with the emptiest owner."""
    tries = ring.owners([f"{seed}/{number}" for number in range(count * TRIES)]).reshape(count, TRIES)
    load = np.zeros(len(ring.members), np.int64)
    owners = np.empty(count, np.int32)
    for number, among in enumerate(tries):
        owners[number] = best = among[np.argmin(load[among])]
        load[best] += 1
    return owners


def worst(owners: np.ndarray[tuple[int], np.dtype[np.int32]], nodes: int, each: int) -> float:
    """Sessions of the fullest server over the mean."""
    return float(np.bincount(owners, minlength=nodes).max() / each)


def moved(before: Ring, after: Ring, keys: Sequence[str]) -> float:
    """Share of the keys whose owner differs."""
    old = np.array(before.members)[before.owners(keys)]
    new = np.array(after.members)[after.owners(keys)]
    return float(np.mean(old != new))


def node_waits(
    demand: Demand,
    owners: np.ndarray[tuple[int], np.dtype[np.int32]],
    nodes: int,
    rate: float,
    seconds: float,
    rng: np.random.Generator,
) -> Floats:
    """Seconds of every frame at its server; the first half is left out, in which queues fill.

    A server whose sessions send more than it can do falls further and further behind, as it would.
    """
    frames = max(2, round(seconds * rate))
    steps = np.array(demand.steps)
    order = np.argsort(owners, kind="stable")
    bounds = np.searchsorted(owners[order], np.arange(nodes + 1))
    phases = rng.random(len(owners)) / rate
    found = []
    for node in range(nodes):
        mine = phases[bounds[node] : bounds[node + 1]]
        arrivals = np.sort((mine[:, None] + np.arange(frames)[None, :] / rate).reshape(-1))
        waits = in_order(arrivals, rng.choice(steps, len(arrivals)))
        found.append(waits[arrivals > seconds / 2])
    return np.concatenate(found)


def in_order(arrivals: Floats, services: Floats) -> Floats:
    """Seconds from arrival to end, one after another: each begins when it is there and the last is done."""
    ends = np.cumsum(services)
    begun = np.maximum.accumulate(arrivals - (ends - services))
    result: Floats = begun + ends - arrivals
    return result


def fleet_table(fleets: Sequence[Fleet]) -> Table:
    """One row a size and utilisation."""
    table = Table(title="Simulated: servers of one worker, sessions that send by the clock")
    for heading in ("servers", "sessions", "fullest, hashed", "drawn", "moved by +1", "by -1", "use",
                    "p50 ms", "p99 ms", "hashed"):  # fmt: skip
        table.add_column(heading, justify="right")
    for one in fleets:
        table.add_row(
            str(one.nodes), str(one.sessions), f"{one.hash_worst:.2f}", f"{one.drawn_worst:.2f}",
            f"{one.joining:.2%}", f"{one.leaving:.2%}", f"{one.utilisation:.0%}", f"{one.p50_ms:.1f}",
            f"{one.p99_ms:.1f}", f"{one.hash_p99_ms:.0f}",
        )  # fmt: skip
    return table
