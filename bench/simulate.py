"""A cluster that is not there: frames through load, front and servers, event by event, by measured times"""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..errors import OptionError
from .cores import TICK_S, Cores, Lock, Part, Thread

DECODERS = 2
"""Threads of a server that decode pictures, where the machine has as many cores."""
HOPS = 4
"""Of the ways between two stages, those over a socket."""
Gaps = tuple[tuple[float, float], ...]
"""When others took a core, and for how many seconds."""


@dataclass(frozen=True)
class Demand:
    """What a frame costs, in seconds of CPU and of waiting for none.

    Attributes:
        load_s: at the client, which encodes nothing and reads answers.
        front_s: at the front, there and back.
        server_s: on the server's event loop: receiving, handing on, answering.
        decodes: of single frames, on the server's threads for it; one is drawn a frame.
        steps: of single frames, on the server's engine thread; one is drawn a frame.
        delay_s: nobody's CPU: sockets, sleeping and waking.
        locked_s: of a step, what runs under Python's lock.
    """

    load_s: float
    front_s: float
    server_s: float
    decodes: tuple[float, ...]
    steps: tuple[float, ...]
    delay_s: float = 0.0
    locked_s: float = 0.0

    def __post_init__(self) -> None:
        numbers = (
            self.load_s,
            self.front_s,
            self.server_s,
            self.delay_s,
            self.locked_s,
            *self.decodes,
            *self.steps,
        )
        if not self.decodes or not self.steps or not all(math.isfinite(one) and one >= 0 for one in numbers):
            raise OptionError(
                "a demand has a time that is negative or not finite, or has no step",
                "give seconds, 0 or more, and at least one decode and one step",
            )

    @property
    def step_s(self) -> float:
        """Of an average frame."""
        return sum(self.steps) / len(self.steps)

    @property
    def decode_s(self) -> float:
        """Of an average frame."""
        return sum(self.decodes) / len(self.decodes)


@dataclass(frozen=True)
class Outcome:
    """What came out.

    Attributes:
        fps: frames a second of all sessions.
        waits: every frame's seconds from sending to answer.
    """

    fps: float
    waits: tuple[float, ...]


class Station:
    """A queue of work, and the threads that do it in the order in which it comes."""

    def __init__(self, cores: Cores, threads: Sequence[Thread]) -> None:
        self._cores = cores
        self._free = list(threads)
        self._waiting: deque[tuple[list[Part], Callable[[], None]]] = deque()

    def enter(self, parts: list[Part], done: Callable[[], None]) -> None:
        """Has one of the threads do these parts."""
        self._waiting.append((parts, done))
        if self._free:
            self._next(self._free.pop())

    def _next(self, thread: Thread) -> None:
        if not self._waiting:
            self._free.append(thread)
            return
        parts, done = self._waiting.popleft()

        def ended() -> None:
            self._next(thread)
            done()

        self._cores.begin(thread, parts, ended)


class Machine:
    """Servers, front and clients that share the cores of one machine with what else runs on it.

    Args:
        demand: of a frame.
        owners: for each session, which server has it; every session sends its next frame when it has its
            answer.
        cores: that all of them share.
        others: for each core, when others took it, over and over again.
        period_s: seconds that ``others`` tell of.
        seed: of what frames cost, and of who begins where.
        tick_s: see ``Cores``.
    """

    def __init__(
        self,
        demand: Demand,
        owners: Sequence[int],
        *,
        cores: int,
        others: Sequence[Gaps] = (),
        period_s: float = 1.0,
        seed: int = 0,
        tick_s: float = TICK_S,
    ) -> None:
        if not owners or cores < 1 or len(others) > cores:
            raise OptionError(f"{len(owners)} sessions on {cores} cores", "give at least one, on some cores")
        self._demand = demand
        self._owners = owners
        self._random = random.Random(seed)
        self._cores = Cores(cores, self._random, tick_s=tick_s)
        self._load, self._front = self._station(1), self._station(1)
        self._servers = [self._server() for _ in range(max(owners) + 1)]
        self._done: list[tuple[float, float]] = []
        for core, gaps in enumerate(others):
            if gaps:
                self._disturb(core, gaps, period_s)

    def run(self, frames: int, *, warm_up: int = 50) -> Outcome:
        """Runs until so many frames are answered after the first ``warm_up``."""
        for session in range(len(self._owners)):
            self._send(session)
        while len(self._done) < warm_up + frames:
            self._cores.advance()
        kept = self._done[warm_up : warm_up + frames]
        began = self._done[warm_up - 1][0] if warm_up else 0.0
        return Outcome(frames / (kept[-1][0] - began), tuple(wait for _, wait in kept))

    def _station(self, threads: int, lock: Lock | None = None) -> Station:
        return Station(self._cores, [self._cores.thread(lock) for _ in range(threads)])

    def _server(self) -> tuple[Station, Station, Station]:
        """Event loop, decoders and engine of one process."""
        lock = Lock()
        return self._station(1, lock), self._station(DECODERS, lock), self._station(1, lock)

    def _disturb(self, core: int, gaps: Gaps, period_s: float) -> None:
        """Has a thread of others run on a core as it was seen, from a place in the period that is drawn."""
        station = Station(self._cores, [self._cores.thread(core=core)])
        shift = self._random.random() * period_s
        times = sorted(((at - shift) % period_s, seconds) for at, seconds in gaps)

        def one(number: int) -> None:
            turn, place = divmod(number + 1, len(times))
            station.enter([(times[number % len(times)][1], False)], lambda: None)
            self._cores.later(
                max(0.0, turn * period_s + times[place][0] - self._cores.now), lambda: one(number + 1)
            )

        self._cores.later(times[0][0], lambda: one(0))

    def _send(self, session: int) -> None:
        """Starts a session's next frame on its way, which ends by sending the one after."""
        began, demand = self._cores.now, self._demand
        loop, decoders, engine = self._servers[self._owners[session]]
        step = self._random.choice(demand.steps)
        locked = min(demand.locked_s, step) / 2
        hop = demand.delay_s / HOPS
        quarter = demand.server_s / 4
        turn: list[Part] = [(quarter, True)]
        ways: list[tuple[Station, list[Part], float]] = [
            (self._load, [(demand.load_s / 2, False)], hop),
            (self._front, [(demand.front_s / 2, False)], hop),
            (loop, turn, 0.0),
            (decoders, [(self._random.choice(demand.decodes), False)], 0.0),
            (loop, turn, 0.0),
            (engine, [(locked, True), (step - 2 * locked, False), (locked + quarter, True)], 0.0),
            (loop, turn, hop),
            (self._front, [(demand.front_s / 2, False)], hop),
            (self._load, [(demand.load_s / 2, False)], 0.0),
        ]

        def go(place: int) -> None:
            if place == len(ways):
                self._done.append((self._cores.now, self._cores.now - began))
                self._send(session)
                return
            station, parts, delay = ways[place]

            def on() -> None:
                if delay > 0:
                    self._cores.later(delay, lambda: go(place + 1))
                else:
                    go(place + 1)

            station.enter(parts, on)

        go(0)
