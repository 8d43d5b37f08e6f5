"""A cluster that is not there: frames through load, front and servers, event by event, by measured times"""

from __future__ import annotations

import heapq
import math
import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from ..errors import OptionError


@dataclass(frozen=True)
class Demand:
    """What a frame costs: seconds of CPU at each station, and the rest of its way.

    Attributes:
        load_s: at the client, which encodes nothing and reads answers.
        front_s: at the front, there and back.
        server_s: at the server: receiving, decoding, the step, answering.
        delay_s: nobody's CPU: sockets, sleeping and waking.
        spread: factors around 1 by which single frames cost more or less; one is drawn a frame.
    """

    load_s: float
    front_s: float
    server_s: float
    delay_s: float
    spread: tuple[float, ...] = (1.0,)

    def __post_init__(self) -> None:
        numbers = (self.load_s, self.front_s, self.server_s, self.delay_s, *self.spread)
        if not self.spread or not all(math.isfinite(one) and one >= 0 for one in numbers):
            raise OptionError(
                "a demand has a time that is negative or not finite", "give seconds, 0 or more, and a spread"
            )


@dataclass(frozen=True)
class Outcome:
    """What came out: frames a second of all sessions, and every frame's seconds from sending to answer."""

    fps: float
    waits: tuple[float, ...]


@dataclass(eq=False)
class Job:
    """A frame on its way."""

    session: int
    sent: float
    factor: float
    stage: int = 0


@dataclass(eq=False)
class Station:
    """A process that works on one frame at a time, in the order in which they come."""

    waiting: deque[Job] = field(default_factory=deque)
    left: float = 0.0
    """Seconds of CPU that the first one still needs."""


LOAD, FRONT, SERVER, BACK, READ = range(5)
"""A frame's stages: sent by the client, front, server, front again, read by the client."""


class Machine:
    """Servers, front and clients that share the cores of one machine, each core's time cut evenly.

    Args:
        demand: of a frame.
        owners: for each session, which server has it; every session sends its next frame when it has its
            answer.
        cores: that all of them share; a part of one where something else runs too.
        seed: of the spread.
    """

    def __init__(self, demand: Demand, owners: Sequence[int], *, cores: float, seed: int = 0) -> None:
        if not owners or cores <= 0:
            raise OptionError(f"{len(owners)} sessions on {cores} cores", "give at least one, on some cores")
        self._demand = demand
        self._owners = owners
        self._cores = cores
        self._random = random.Random(seed)
        self._load, self._front = Station(), Station()
        self._servers = [Station() for _ in range(max(owners) + 1)]
        self._stations = [self._load, self._front, *self._servers]
        self._now = 0.0
        self._later: list[tuple[float, int, Job]] = []
        self._count = 0
        self._done: list[tuple[float, float]] = []

    def run(self, frames: int, *, warm_up: int = 50) -> Outcome:
        """Runs until so many frames are answered after the first ``warm_up``."""
        for session in range(len(self._owners)):
            self._send(session)
        while len(self._done) < warm_up + frames:
            self._advance()
        kept = self._done[warm_up:]
        began = self._done[warm_up - 1][0] if warm_up else 0.0
        return Outcome(len(kept) / (kept[-1][0] - began), tuple(wait for _, wait in kept))

    def _send(self, session: int) -> None:
        job = Job(session, self._now, self._random.choice(self._demand.spread))
        self._enter(job)

    def _station(self, job: Job) -> Station:
        if job.stage in (LOAD, READ):
            return self._load
        return self._front if job.stage in (FRONT, BACK) else self._servers[self._owners[job.session]]

    def _seconds(self, job: Job) -> float:
        demand = self._demand
        whole = {LOAD: demand.load_s / 2, READ: demand.load_s / 2, SERVER: demand.server_s}
        return job.factor * whole.get(job.stage, demand.front_s / 2)

    def _enter(self, job: Job) -> None:
        station = self._station(job)
        station.waiting.append(job)
        if len(station.waiting) == 1:
            station.left = self._seconds(job)

    def _advance(self) -> None:
        """To the next thing that happens: a station is done with a frame, or one has been on its way."""
        active = [one for one in self._stations if one.waiting]
        rate = min(1.0, self._cores / len(active)) if active else 1.0
        first = min(active, key=lambda one: one.left, default=None)
        until = first.left / rate if first is not None else math.inf
        timed = self._later[0][0] - self._now if self._later else math.inf
        step = min(until, timed)
        self._now += step
        for one in active:
            one.left -= step * rate
        if timed <= until:
            self._enter(heapq.heappop(self._later)[2])
        else:
            assert first is not None
            self._leave(first)

    def _leave(self, station: Station) -> None:
        job = station.waiting.popleft()
        if station.waiting:
            station.left = self._seconds(station.waiting[0])
        if job.stage == READ:
            self._done.append((self._now, self._now - job.sent))
            self._send(job.session)
            return
        job.stage += 1
        self._count += 1  # the way between two stations: a quarter of all that is nobody's CPU
        at = self._now + job.factor * self._demand.delay_s / 4
        heapq.heappush(self._later, (at, self._count, job))
