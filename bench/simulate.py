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
        server_s: at the server, beside the step: receiving, decoding, answering.
        step_s: on the server's engine thread.
        delay_s: nobody's CPU: sockets, sleeping and waking.
        spread: factors around 1 by which single steps cost more or less; one is drawn a frame.
        hiccups: seconds that single frames of a session alone took above the median; one is drawn a frame.
    """

    load_s: float
    front_s: float
    server_s: float
    step_s: float
    delay_s: float
    spread: tuple[float, ...] = (1.0,)
    hiccups: tuple[float, ...] = (0.0,)

    def __post_init__(self) -> None:
        numbers = (
            self.load_s,
            self.front_s,
            self.server_s,
            self.step_s,
            self.delay_s,
            *self.spread,
            *self.hiccups,
        )
        if not self.spread or not self.hiccups or not all(math.isfinite(one) and one >= 0 for one in numbers):
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


LOAD, FRONT, SERVER, STEP, BACK, READ = range(6)
"""A frame's stages: sent by the client, front, server, its engine, front again, read by the client."""
SLICE_S = 0.004
"""Between two looks of a common Linux scheduler at who runs (250 a second)."""
HOPS = 4
"""Of the ways between two stages, those over a socket."""


class Machine:
    """Servers, front and clients that share the cores of one machine, whose time is cut into slices.

    Args:
        demand: of a frame.
        owners: for each session, which server has it; every session sends its next frame when it has its
            answer.
        cores: that all of them share; a part of one where something else runs too.
        seed: of the spread, and of who runs next.
        slice_s: seconds that a station runs before another one gets its core.
    """

    def __init__(
        self, demand: Demand, owners: Sequence[int], *, cores: float, seed: int = 0, slice_s: float = SLICE_S
    ) -> None:
        if not owners or cores <= 0:
            raise OptionError(f"{len(owners)} sessions on {cores} cores", "give at least one, on some cores")
        self._demand = demand
        self._owners = owners
        self._cores = cores
        self._random = random.Random(seed)
        self._load, self._front = Station(), Station()
        self._servers = [Station() for _ in range(max(owners) + 1)]
        self._engines = [Station() for _ in self._servers]
        self._slots = math.ceil(cores)
        self._slice_s = slice_s
        self._ready: list[Station] = []
        self._running: list[tuple[Station, float]] = []
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
        if job.stage in (FRONT, BACK):
            return self._front
        stations = self._servers if job.stage == SERVER else self._engines
        return stations[self._owners[job.session]]

    def _seconds(self, job: Job) -> float:
        demand = self._demand
        if job.stage == STEP:
            return job.factor * demand.step_s
        halves = {LOAD: demand.load_s, READ: demand.load_s, FRONT: demand.front_s, BACK: demand.front_s}
        return halves[job.stage] / 2 if job.stage in halves else demand.server_s

    def _enter(self, job: Job) -> None:
        station = self._station(job)
        station.waiting.append(job)
        if len(station.waiting) == 1:
            station.left = self._seconds(job)
            self._ready.append(station)

    def _advance(self) -> None:
        """To the next thing that happens: a slice ends, a station is done, or a frame has been on its way."""
        self._fill()
        rate = self._cores / self._slots
        runs = [min(left, station.left) / rate for station, left in self._running]
        until = min(runs, default=math.inf)
        timed = self._later[0][0] - self._now if self._later else math.inf
        step = min(until, timed)
        self._now += step
        for number, (station, left) in enumerate(self._running):
            station.left -= step * rate
            self._running[number] = (station, left - step * rate)
        if timed <= until:
            return self._enter(heapq.heappop(self._later)[2])
        station, left = self._running.pop(runs.index(until))
        if station.left <= left:
            self._leave(station)
        else:
            self._ready.append(station)

    def _fill(self) -> None:
        """Gives every free core to a station that has something to do, whichever it may be."""
        while self._ready and len(self._running) < self._slots:
            place = self._random.randrange(len(self._ready))
            self._running.append((self._ready.pop(place), self._slice_s))

    def _leave(self, station: Station) -> None:
        job = station.waiting.popleft()
        if station.waiting:
            station.left = self._seconds(station.waiting[0])
            self._ready.append(station)
        if job.stage == READ:
            self._done.append((self._now, self._now - job.sent))
            self._send(job.session)
            return
        job.stage += 1
        self._count += 1
        delay = 0.0 if job.stage == STEP else self._demand.delay_s / HOPS
        if job.stage == BACK:
            delay += self._random.choice(self._demand.hiccups)
        at = self._now + delay
        heapq.heappush(self._later, (at, self._count, job))
