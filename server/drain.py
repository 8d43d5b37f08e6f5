"""`Drain`: how a server ends: frames under way get what time is left beside snapshots and leaving."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

LEAVING_S = 1.0
"""From the last answer to the end of the process, snapshots not counted: 0.35 s on a quiet machine."""


class Saves(Protocol):
    """What keeps the sessions of an engine."""

    @property
    def failure(self) -> Exception | None:
        """Why it cannot at the moment; None when it can."""

    @property
    def seconds(self) -> float:
        """How long it took the last time."""

    def round(self) -> None:
        """Writes what has moved since."""


class Drain:
    """The time between being told to stop and the end of the process. Lives on the event loop.

    Attributes:
        started: the server takes nothing new.
        over: what is not answered yet stays without an answer.
    """

    def __init__(self) -> None:
        self.started = asyncio.Event()
        self.over = asyncio.Event()
        self._calls: list[Callable[[], object]] = []
        self._end = self._answers_until = float("inf")
        self._timer: asyncio.TimerHandle | None = None

    def on_start(self, call: Callable[[], object]) -> None:
        """Calls this when the end begins."""
        self._calls.append(call)

    def begin(self, end: float) -> None:
        """Begins; the process is to be gone at ``end`` (monotonic seconds). Only the first call counts."""
        if self.started.is_set():
            return
        self._end = end
        self.started.set()
        self.reserve(0.0)
        for call in self._calls:
            call()

    def reserve(self, seconds: float) -> None:
        """Keeps so many seconds for the last snapshots, beside those that leaving takes."""
        now = time.monotonic()
        leaving = min(LEAVING_S, (self._end - now) / 2)
        self._answers_until = min(self._answers_until, self._end - leaving - seconds)
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(
            max(0.0, self._answers_until - now), self.over.set
        )

    @property
    def left(self) -> float:
        """Seconds until the process is to be gone; infinite before ``begin``."""
        return max(0.0, self._end - time.monotonic())
