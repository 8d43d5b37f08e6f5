"""How much of a stream is let in, by its queue policy and by messages a second; and its last answers."""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ..engine import SessionOptions
from ..engine.scheduler import Scheduler
from ..wire import Picture, Timings

_ONE = "one"
KEPT, KEPT_BYTES = 64, 32 * 1024 * 1024
"""Answers of a session that are kept for a peer whose connection is lost, and their bytes at most."""


@dataclass(frozen=True, slots=True)
class Arrived:
    """A frame that a peer sent; ``received`` in monotonic seconds."""

    picture: Picture
    received: float


class Mailbox:
    """A session's frames as they came, in order, until there is room for them: its queue.

    The engine's own scheduler decides which frames are dropped; frames are decoded when it takes them.
    """

    def __init__(self) -> None:
        self._scheduler: Scheduler[Arrived]
        self._changed = asyncio.Event()
        self._ended = False
        self.obey(SessionOptions())

    def obey(self, options: SessionOptions) -> None:
        """From now on with these options; it is empty by then."""
        self.policy = str(options.policy)
        self._scheduler = Scheduler()
        self._scheduler.open(_ONE, options.policy, limit=options.queue, deadline=options.deadline_ms / 1e3)

    async def put(self, item: Arrived) -> Picture | None:
        """Adds a frame, and returns the one that the policy drops for it, if any: older, or itself.

        Where the policy is WAIT it waits for room, and with it the socket, and the peer.
        """
        while self.policy == "WAIT" and not self._scheduler.has_room(_ONE) and not self._ended:
            self._changed.clear()
            await self._changed.wait()
        dropped = self._scheduler.submit(_ONE, item)
        self._changed.set()
        return None if dropped is None else dropped.picture

    async def take(self) -> tuple[Arrived, int] | None:
        """The next frame, and how many were dropped since the one before; None when ``end`` was called."""
        while not (batch := self._scheduler.take()):
            if self._ended:
                return None
            self._changed.clear()
            await self._changed.wait()
        self._scheduler.done([_ONE])
        self._changed.set()
        return batch[0][1], self._scheduler.take_dropped(_ONE)

    @property
    def is_empty(self) -> bool:
        """Whether no frame waits."""
        return not self._scheduler.is_ready

    async def emptied(self) -> None:
        """Waits until no frame waits."""
        while not self.is_empty:
            self._changed.clear()
            await self._changed.wait()

    def end(self) -> None:
        """Nothing more will come."""
        self._ended = True
        self._changed.set()


class Sent:
    """The answers of a session that were sent last, for a peer that comes back and lacks some. Any thread.

    Attributes:
        since: answers to frames from this index on are here.
    """

    def __init__(self, since: int) -> None:
        self.since = since
        self._lock = threading.Lock()
        self._bytes = 0
        self._kept: deque[tuple[int, Sequence[str | bytes], int]] = deque()

    def add(self, index: int, messages: Sequence[str | bytes]) -> None:
        """What frame ``index`` was answered with."""
        size = sum(len(one) for one in messages)
        with self._lock:
            self._kept.append((index, messages, size))
            self._bytes += size
            while len(self._kept) > KEPT or self._bytes > KEPT_BYTES:
                old, _, size = self._kept.popleft()
                self._bytes -= size
                self.since = max(self.since, old + 1)

    def after(self, index: int) -> list[str | bytes]:
        """All that was sent for frames after this one."""
        with self._lock:
            return [one for number, messages, _ in self._kept if number > index for one in messages]


class Rate:
    """At most so many a second, and a second's worth at once (a token bucket).

    Args:
        per_second: how many.
        clock: monotonic seconds.
        burst: how many at once; a second's worth without.
    """

    def __init__(
        self, per_second: float, clock: Callable[[], float] = time.monotonic, burst: float | None = None
    ) -> None:
        self.per_second = per_second
        self._clock = clock
        self._burst = max(1.0, per_second if burst is None else burst)
        self._tokens = self._burst
        self._at = clock()
        self.refused = 0
        """How many were refused in a row."""

    @property
    def room(self) -> float:
        """How many may pass now."""
        now = self._clock()
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self.per_second)
        self._at = now
        return self._tokens

    def allows(self) -> bool:
        """Whether one more may pass now."""
        if self.room < 1:
            self.refused += 1
            return False
        self._tokens -= 1
        self.refused = 0
        return True


def at_server(timings: Timings, received: float, decode_s: float) -> Timings:
    """The times of a frame that was received at ``received`` and is answered now: what is left, it waited."""
    total = 1e3 * (time.monotonic() - received)
    worked = timings.prepare_ms + timings.model_ms + timings.finish_ms + 1e3 * decode_s
    return replace(timings, queue_ms=max(0.0, total - worked), decode_ms=1e3 * decode_s)
