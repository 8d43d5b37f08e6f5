"""Events on their way to those who are told: each in order, again and again until it has been taken"""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Protocol

from .event_log import EventLog
from .logs import logger
from .metrics import Reading

BATCH = 64
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 30.0


class Untaken(Exception):
    """Whoever is told did not take an event; why, in words."""


class Sink(Protocol):
    """Whoever is told of events.

    Attributes:
        name: the same after a restart, so that it goes on where it was.
        kind: ``webhook`` or ``mqtt``.
    """

    name: str
    kind: str

    async def send(self, seq: int, body: str) -> None:
        """Hands one event over; returns when it has been taken. Raises Untaken."""

    async def close(self) -> None:
        """Closes what is open."""


class Deliveries:
    """Tells every sink, side by side.

    Args:
        log: where the events are.
        sinks: who is told.
    """

    def __init__(self, log: EventLog, sinks: Sequence[Sink]) -> None:
        self._log, self._sinks = log, sinks
        self._added: dict[str, asyncio.Event] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._places: dict[str, int] = {}
        self._failures = dict.fromkeys((sink.name for sink in sinks), 0)

    def readings(self) -> Iterator[Reading]:
        """How many events wait, and how often somebody could not be told."""
        last = self._log.last
        for sink in self._sinks:
            label = {"sink": sink.name}
            waiting = last - self._places.get(sink.name, last)
            yield Reading("framestate_events_waiting", "Events that a sink has not taken.", waiting, label)
            failures = self._failures[sink.name]
            yield Reading("framestate_events_failures_total", "Times that it took none.", failures, label)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """While the server runs."""
        self._loop = asyncio.get_running_loop()
        self._places = self._log.places([sink.name for sink in self._sinks])
        self._added = {sink.name: asyncio.Event() for sink in self._sinks}
        self._log.on_add = self._wake
        tasks = [asyncio.create_task(self._tell(sink), name=sink.name) for sink in self._sinks]
        try:
            yield
        finally:
            self._log.on_add = lambda: None
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            for sink in self._sinks:
                await sink.close()

    def _wake(self) -> None:
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # it is closed: the events wait for the next start
                self._loop.call_soon_threadsafe(self._set)

    def _set(self) -> None:
        for added in self._added.values():
            added.set()

    async def _tell(self, sink: Sink) -> None:
        pause, away = FIRST_PAUSE_S, False
        while True:
            self._added[sink.name].clear()
            try:
                rows = await asyncio.to_thread(self._log.after, self._places[sink.name], BATCH)
                for seq, body in rows:
                    await sink.send(seq, body)
                    self._places[sink.name] = seq
                    self._log.told(sink.name, seq)
                    pause = FIRST_PAUSE_S
                    if away:
                        away = False
                        logger().info("events are taken again", extra={"sink": sink.name})
            except (Untaken, sqlite3.Error) as error:
                self._failures[sink.name] += 1
                if not away:
                    away = True
                    logger().warning("events are not taken", extra={"sink": sink.name, "error": str(error)})
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE_S)
                continue
            if not rows:
                await self._added[sink.name].wait()
