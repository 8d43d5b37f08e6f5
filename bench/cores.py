"""`Cores`: threads that share the cores of a simulated machine as Linux shares them, and Python's lock"""

from __future__ import annotations

import heapq
import math
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

TICK_S = 0.004
"""Between two looks of the scheduler at a core (Linux at 250 a second)."""
KEPT_S = 0.0028
"""What a thread may run before one that wakes can take its core: Linux 6's slice with two cores."""
LEVEL_TICKS = 8
"""Ticks between two looks at whether one core's queue is longer than another's."""
LOAD_S = 0.046
"""Time constant of a core's mean load: half of it is forgotten in 32 ms."""
NEAR = 1.08
"""By so much may the load of the waker's core be higher than that of one's own to be taken instead."""
PULLS = 64
"""Looks of a core without work at the other queues over which its luck is averaged."""

Part = tuple[float, bool]
"""Seconds of CPU, and whether they need the lock of the thread's process."""


@dataclass(eq=False)
class Lock:
    """What one thread of a process has at a time: Python's own lock."""

    holder: Thread | None = None
    waiting: deque[Thread] = field(default_factory=deque)


@dataclass(eq=False)
class Thread:
    """Runs parts of work, one after another.

    Attributes:
        core: that it runs on, or ran on last.
        served: its virtual time: seconds that it has run, as its core counts them.
        credit: how far behind the mean of its core it was when it went to sleep.
        ran: seconds since it got its core.
        parts: that are still to do, the first one begun; none when it sleeps.
        done: called when all are.
    """

    core: Core
    lock: Lock | None = None
    served: float = 0.0
    credit: float = 0.0
    ran: float = 0.0
    parts: deque[Part] = field(default_factory=deque)
    done: Callable[[], None] = lambda: None


@dataclass(eq=False)
class Core:
    """A core, who runs on it, who waits for it, when it first looked, and how many could run on average."""

    phase: float
    running: Thread | None = None
    queue: list[Thread] = field(default_factory=list)
    load: float = 0.0

    @property
    def threads(self) -> list[Thread]:
        """All that could run."""
        return self.queue if self.running is None else [*self.queue, self.running]

    @property
    def mean(self) -> float:
        """Virtual time of the core: the mean of its threads'."""
        threads = self.threads
        return sum(one.served for one in threads) / len(threads) if threads else 0.0


class Cores:
    """Event by event: threads wake, run, lose their core at a tick, wait for a lock, and sleep.

    Each core has a queue of its own. A thread that wakes goes to its last core, or to that of whoever wakes
    it where the last one is busy and more loaded; it runs at once if nobody does or if who does has had a
    slice. At ticks the one that has been served least goes on, and a core without work takes one that waits
    elsewhere. A core that runs out of work also looks, as often as looking was of use. These are the rules
    of Linux 6.18, coarser than it has them.

    Args:
        count: of cores.
        random_state: of the ticks' phases and of who runs where first.
        tick_s: seconds between two looks at a core.
    """

    def __init__(self, count: int, random_state: random.Random, *, tick_s: float = TICK_S) -> None:
        self.now = 0.0
        self._random = random_state
        self._tick_s = tick_s
        self._cores = [Core(random_state.random() * tick_s) for _ in range(count)]
        self._timers: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0
        self._woken: list[Thread] | None = None  # while a part ends
        self._level_at = LEVEL_TICKS * tick_s
        self._here: Core | None = None  # where the one runs that wakes others
        self._luck = 0.5  # of looks at other queues: how many found somebody

    def thread(self, lock: Lock | None = None, core: int | None = None) -> Thread:
        """A thread that sleeps."""
        return Thread(self._random.choice(self._cores) if core is None else self._cores[core], lock)

    def later(self, seconds: float, call: Callable[[], None]) -> None:
        """Calls something so many seconds from now."""
        self._count += 1
        heapq.heappush(self._timers, (self.now + seconds, self._count, call))

    def begin(self, thread: Thread, parts: list[Part], done: Callable[[], None]) -> None:
        """Wakes a thread that sleeps, or goes on with one whose ``done`` is just called."""
        is_awake = bool(thread.parts) or thread.core.running is thread
        thread.parts, thread.done = deque(parts), done
        if not is_awake:
            self._wake(thread)

    def advance(self) -> None:
        """To the next thing that happens, and past it."""
        at, what = (self._timers[0][0], self._fire) if self._timers else (math.inf, self._level)
        if self._level_at < at:
            at, what = self._level_at, self._level
        for core in self._cores:
            if core.running is None:
                continue
            end = self.now + core.running.parts[0][0]
            if end < at:
                at, what = end, self._ender(core)
            if core.queue and (tick := self._next_tick(core)) < at:
                at, what = tick, self._ticker(core)
        self._pass(at)
        what()

    def _pass(self, at: float) -> None:
        seconds, self.now = at - self.now, at
        share = 1.0 - math.exp(-seconds / LOAD_S)
        for core in self._cores:
            core.load += share * (len(core.threads) - core.load)
            if (one := core.running) is not None:
                left, locked = one.parts[0]
                one.parts[0] = (max(0.0, left - seconds), locked)
                one.ran += seconds
                one.served += seconds

    def _next_tick(self, core: Core) -> float:
        passed = math.floor((self.now - core.phase) / self._tick_s + 1e-6) + 1
        return core.phase + passed * self._tick_s

    def _fire(self) -> None:
        heapq.heappop(self._timers)[2]()

    def _ender(self, core: Core) -> Callable[[], None]:
        return lambda: self._end_part(core)

    def _ticker(self, core: Core) -> Callable[[], None]:
        return lambda: self._tick(core)

    # Who runs

    def _wake(self, thread: Thread) -> None:
        if self._woken is not None:
            self._woken.append(thread)
            return
        core = self._chosen(thread)
        if core is not thread.core:
            thread.served, thread.core = core.mean - max(0.0, thread.credit), core
        elif core.threads:
            thread.served = core.mean - thread.credit if thread.credit > 0 else max(core.mean, thread.served)
        core.queue.append(thread)
        running = core.running
        if running is None:
            self._pick(core)
        elif running.ran >= min(KEPT_S, self._tick_s):
            self._switch(core)

    def _chosen(self, thread: Thread) -> Core:
        """Where a thread wakes."""
        last, here = thread.core, self._here
        if last.running is None or here is None or here.load >= NEAR * last.load:
            return last
        return here

    def _pick(self, core: Core) -> None:
        """Gives a core that nobody has to whoever has been served least, and has the lock if it needs it."""
        while core.running is None and (core.queue or self._pulls(core)):
            thread = min(core.queue, key=lambda one: one.served)
            core.queue.remove(thread)
            core.running, thread.ran = thread, 0.0
            self._lock(core)

    def _pulls(self, core: Core) -> bool:
        """Whether a core that has run out of work has looked for some elsewhere, and found it."""
        if self._random.random() > self._luck + 1e-3:
            return False
        fullest = max(self._cores, key=lambda one: len(one.queue))
        self._luck += (bool(fullest.queue) - self._luck) / PULLS
        if fullest.queue:
            self._bring(fullest.queue[0], core)
        return bool(core.queue)

    def _switch(self, core: Core) -> None:
        """The one who runs makes way for one who has been served less."""
        running = core.running
        assert running is not None
        if min(one.served for one in core.queue) < running.served:
            core.running = None
            core.queue.append(running)
            self._pick(core)

    def _lock(self, core: Core) -> None:
        """The one who runs takes the lock for its next part, or sleeps until it is free."""
        thread = core.running
        assert thread is not None
        lock = thread.lock
        if lock is None or not thread.parts[0][1] or lock.holder is thread:
            return
        if lock.holder is None:
            lock.holder = thread
        else:
            lock.waiting.append(thread)
            self._sleep(core)

    def _unlock(self, thread: Thread) -> None:
        lock = thread.lock
        if lock is not None and lock.holder is thread:
            lock.holder = None
            if lock.waiting:
                self._wake(lock.waiting.popleft())

    def _sleep(self, core: Core) -> None:
        thread = core.running
        assert thread is not None
        thread.credit = max(-self._tick_s, min(self._tick_s, core.mean - thread.served))
        core.running = None

    def _end_part(self, core: Core) -> None:
        """The next part, or the next work, or sleep; whoever it wakes wakes after that."""
        thread = core.running
        assert thread is not None
        thread.parts.popleft()
        self._woken, self._here = [], core
        self._unlock(thread)
        if not thread.parts:
            thread.done()
        woken, self._woken = self._woken, None
        if thread.parts:
            self._lock(core)
        else:
            self._sleep(core)
        for one in woken:
            self._wake(one)
        self._here = None
        self._pick(core)

    # At ticks

    def _tick(self, core: Core) -> None:
        running = core.running
        if running is not None and running.ran >= min(KEPT_S, self._tick_s):
            self._switch(core)
        for other in self._cores:
            if not other.threads and core.queue:
                self._move(core.queue[0], other)

    def _level(self) -> None:
        self._level_at = self.now + self._random.uniform(0.75, 1.25) * LEVEL_TICKS * self._tick_s
        longest = max(self._cores, key=lambda one: len(one.threads))
        shortest = min(self._cores, key=lambda one: len(one.threads))
        if len(longest.threads) - len(shortest.threads) > 1:
            self._move(longest.queue[0], shortest)

    def _move(self, thread: Thread, core: Core) -> None:
        self._bring(thread, core)
        if core.running is None:
            self._pick(core)

    @staticmethod
    def _bring(thread: Thread, core: Core) -> None:
        """Moves a thread that waits into another queue, as far behind the others there as it was here."""
        behind = thread.core.mean - thread.served
        thread.core.queue.remove(thread)
        thread.served, thread.core = core.mean - behind, core
        core.queue.append(thread)
