"""How much of a stream is let in: by its queue policy, and by messages a second."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from ..client.wire import Message, Picture

MAILBOX = 4
"""Frames that may wait to be decoded."""


@dataclass(frozen=True, slots=True)
class Arrived:
    """Something that a peer sent; ``received`` in monotonic seconds."""

    content: Picture | Message
    received: float


class Mailbox:
    """What has arrived and is not handled yet, in order.

    Args:
        limit: pictures that may wait.
    """

    def __init__(self, limit: int = MAILBOX) -> None:
        self.limit = limit
        self.policy = "WAIT"
        self._items: deque[Arrived] = deque()
        self._pictures = 0
        self._changed = asyncio.Event()
        self._ended = False

    async def put(self, item: Arrived) -> Picture | None:
        """Adds something, and returns the picture that the policy drops for it, if any: older, or itself.

        Where the policy is WAIT it waits for room, and with it the socket, and the peer.
        """
        dropped = None
        if isinstance(item.content, Picture):
            while self.policy == "WAIT" and self._pictures >= self.limit and not self._ended:
                self._changed.clear()
                await self._changed.wait()
            if self._pictures >= self.limit and self.policy == "DROP_LATEST":
                return item.content
            if self._pictures >= self.limit:
                dropped = self._take_oldest_picture()
            self._pictures += 1
        self._items.append(item)
        self._changed.set()
        return dropped

    async def take(self) -> Arrived | None:
        """The next thing; None when there is nothing more and ``end`` was called."""
        while not self._items:
            if self._ended:
                return None
            self._changed.clear()
            await self._changed.wait()
        item = self._items.popleft()
        self._pictures -= isinstance(item.content, Picture)
        self._changed.set()
        return item

    def end(self) -> None:
        """Nothing more will come."""
        self._ended = True
        self._changed.set()

    def _take_oldest_picture(self) -> Picture:
        for item in self._items:
            if isinstance(item.content, Picture):
                self._items.remove(item)
                self._pictures -= 1
                return item.content
        raise AssertionError("there are as many pictures as were counted")


class Rate:
    """At most so many a second, and a second's worth at once (a token bucket).

    Args:
        per_second: how many.
        clock: monotonic seconds.
    """

    def __init__(self, per_second: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.per_second = per_second
        self._clock = clock
        self._burst = max(1.0, per_second)
        self._tokens = self._burst
        self._at = clock()
        self.refused = 0
        """How many were refused in a row."""

    def allows(self) -> bool:
        """Whether one more may pass now."""
        now = self._clock()
        self._tokens = min(self._burst, self._tokens + (now - self._at) * self.per_second)
        self._at = now
        if self._tokens < 1:
            self.refused += 1
            return False
        self._tokens -= 1
        self.refused = 0
        return True
