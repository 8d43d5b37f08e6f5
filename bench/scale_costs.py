"""What a frame costs on one server, from which ``bench scale`` simulates what several then do"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from .background import others, time_slice
from .scale_cluster import Running
from .scale_load import WARM_UP, LoadOrder, LoadRound
from .simulate import Demand, Gaps

WATCHED_S = 2.0
"""For so long it is watched, turn after turn, what else takes the cores."""


@dataclass(frozen=True)
class Costs:
    """What was found in one turn.

    Attributes:
        busy: a round of one server with all of its sessions.
        busy_s: seconds of CPU that a frame of that took at the server.
        front_s: the same at the front.
        alone: a round of one session with nobody else.
        alone_s: seconds of CPU that a frame of that took at the server.
        others: when the cores were taken by others while no session sent.
    """

    busy: LoadRound
    busy_s: float
    front_s: float
    alone: LoadRound
    alone_s: float
    others: tuple[Gaps, ...]


@dataclass(frozen=True)
class Calibration:
    """All that the simulation knows of this machine.

    Attributes:
        demand: of a frame.
        others: of every turn, as in ``Costs``.
        tick_s: how long a process keeps a core that another one wants.
    """

    demand: Demand
    others: tuple[tuple[Gaps, ...], ...]
    tick_s: float

    @property
    def cores_left(self) -> float:
        """Cores that others leave, on average."""
        taken = [sum(gap for gaps in turn for _, gap in gaps) / WATCHED_S for turn in self.others]
        return len(self.others[0]) - sum(taken) / len(taken)


def costs_of(cluster: Running, each: int, frames: int) -> Costs:
    """One turn: ``frames`` of ``each`` sessions on one server, some of one session, and nobody's."""
    quiet = others(WATCHED_S)
    busy, busy_s, front_s = spent(cluster, each, -(-frames // each))
    alone, alone_s, _ = spent(cluster, 1, max(1, frames // 4))
    return Costs(busy, busy_s, front_s, alone, alone_s, quiet)


def spent(cluster: Running, sessions: int, frames: int) -> tuple[LoadRound, float, float]:
    """A round on the first server, and the seconds of CPU that a frame of it took there and at the front."""
    before = cluster.cpu_s()
    taken = cluster.round(LoadOrder(cluster.keys(1, sessions), frames))
    after = cluster.cpu_s()
    sent = len(taken.waits) + sessions * (WARM_UP + 1)
    server, front = ((after[name] - before[name]) / sent for name in (cluster.names[0], "front"))
    return taken, server, front


def calibrated(turns: Sequence[Costs]) -> Calibration:
    """Medians of all turns, and every single frame that one session had to itself.

    Such a frame's decode and step are not interrupted by others of the server. On a busy one they cost more,
    by as much as the server's CPU of a frame says: caches are shared.
    """
    decodes = tuple(one for turn in turns for one in turn.alone.decodes)
    steps = tuple(one for turn in turns for one in turn.alone.steps)
    alone_s = middle(turns, lambda turn: turn.alone_s)
    more = middle(turns, lambda turn: turn.busy_s) / alone_s
    load_s = middle(turns, lambda turn: turn.busy.cpu_s / len(turn.busy.waits))
    front_s = middle(turns, lambda turn: turn.front_s)
    server_s = max(0.0, alone_s - sum(decodes) / len(decodes) - sum(steps) / len(steps))
    wait_s = middle(turns, lambda turn: median(turn.alone.waits))
    demand = Demand(
        load_s=load_s,
        front_s=front_s,
        server_s=more * server_s,
        decodes=tuple(more * one for one in decodes),
        steps=tuple(more * one for one in steps),
        delay_s=max(0.0, wait_s - load_s - front_s - alone_s),
        locked_s=more * middle(turns, lambda turn: median(turn.alone.locked)),
    )
    return Calibration(demand, tuple(turn.others for turn in turns), time_slice())


def middle(turns: Sequence[Costs], of: Callable[[Costs], float]) -> float:
    """The median over all turns."""
    return median(of(turn) for turn in turns)
