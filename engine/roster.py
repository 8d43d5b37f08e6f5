"""The sessions of an engine by their ids, and their queues, behind one lock."""

from __future__ import annotations

import asyncio
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from typing import Any

from ..errors import FramestateError, SessionError
from .core import Core
from .futures import Landing, closed_error, fail, obey
from .scheduler import Scheduler
from .session import Job, Session
from .standing import Standing

Errand = tuple[Session[Any] | None, Callable[[], Any], Future[Any]]

BATCH_PATIENCE_S = 0.002
"""How long a frame is held back for company where frames share one call."""
LATELY_S = 10.0


class Roster:
    """Who is open, what waits, and which rows are about to be free."""

    def __init__(self, core: Core) -> None:
        self._core, self._task = core, core.task
        self._wake = threading.Condition()  # guards all that follows
        self._inline = threading.RLock()  # held while a frame flies on a caller's own thread
        patience = BATCH_PATIENCE_S if core.lanes.batched else 0.0
        lanes = core.lanes
        self._scheduler: Scheduler[Job] = Scheduler(lanes.max_batch, patience=patience, parts=lanes.workers)
        self._sessions: dict[str, Session[Any]] = {}
        self._errands: deque[Errand] = deque()
        self._threads: list[threading.Thread] = []
        self._idle = self._alive = 0  # lanes
        self._landings: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Landing]
        self._landings = weakref.WeakKeyDictionary()
        self._closing = False
        self._why = "this engine is closed"
        self.num_steps = self.num_flown = 0
        """Turns that were begun on the lanes, and the frames in them."""
        self._longest = (0.0, 0.0)  # seconds of the longest turn lately, and when it ended

    def sessions(self) -> list[Session[Any]]:
        """Those that are open. Raises SessionError once the engine is closed."""
        with self._wake:
            if self._closing:
                raise SessionError(self._why, "load a new one")
            return [one for one in self._sessions.values() if one.is_open and not one.closed]

    @property
    def longest_turn_s(self) -> float:
        """How long a turn on the lanes took at most, lately: so long may have to be waited for one."""
        return self._longest[0]

    def _note(self, seconds: float) -> None:
        """A turn took so long. Needs the lock."""
        self._scheduler.note(seconds)
        longest, at = self._longest
        now = time.monotonic()
        if seconds >= longest or now - at > LATELY_S:
            self._longest = seconds, now

    def is_leaving(self, key: str | None) -> bool:
        """Whether a session that was closed is about to free its id, or the only row."""
        with self._wake:
            named = self._sessions.get(key or "")
            full = not self._core.slots.num_free and any(one.closed for one in self._sessions.values())
            return not self._closing and (full or (named is not None and named.closed))

    def _make_room(self, key: str) -> None:
        """Waits for what a closed session is about to free. Needs the lock."""
        here = threading.current_thread() in self._threads
        while self.is_leaving(key):
            errand = self._take_leaving() if here else None
            if errand is not None:
                obey(errand[1], errand[2])
                continue
            self._wake.wait(0.001)
            self._wake.notify()  # it may have been a lane's

    def _take_leaving(self) -> Errand | None:
        """The end of a session, if it can come now. Needs the lock."""
        for errand in self._errands:
            if errand[0] is not None and errand[0].closed and self._claimed(errand[0]):
                self._errands.remove(errand)
                return errand
        return None

    def _claimed(self, session: Session[Any]) -> bool:
        """Whether the session is kept free of turns from now on, or is gone. Needs the lock."""
        return self._sessions.get(session.id) is not session or self._scheduler.claim(session.id)

    def _queue(self, session: Session[Any], dropped: int) -> None:
        """Opens a session's queue by its options. Needs the lock."""
        o = session.options
        self._scheduler.open(
            session.id, o.policy, limit=o.queue, deadline=o.deadline_ms / 1e3, dropped=dropped
        )

    def _set(self, session: Session[Any], standing: Standing) -> None:
        session.standing, session.clock, session.flushed = standing, standing.clock, standing.ended

    def _withdrawn(self, session: Session[Any]) -> list[Job]:
        """Takes a session out of the scheduler, and returns what waited. Needs the lock."""
        jobs = [*self._scheduler.close(session.id), *session.overflow]
        session.overflow.clear()
        return jobs

    def _refuse(self, jobs: Iterable[Job], error: FramestateError) -> None:
        """Answers what will not be flown, or not to its end."""
        for job in jobs:
            if job.flight is not None:
                job.flight.close(error)
            fail(job.future, error)

    def _leave(self, session: Session[Any]) -> None:
        """Frees everything of a session, no turn of which is under way."""
        with self._wake:
            session.closed = True
            jobs = self._forget(session)
        self._refuse(jobs, closed_error(session.id))

    def _forget(self, session: Session[Any]) -> list[Job]:
        """Takes a session out, and frees its row. Needs the lock; returns what waited."""
        session.closed = True
        if self._sessions.get(session.id) is not session:
            return []
        jobs = self._withdrawn(session)
        del self._sessions[session.id]
        self._core.release(session.slot)
        return jobs

    def _admit(self, session: Session[Any]) -> None:
        """Moves frames whose callers wait for room into the queue. Needs the lock."""
        while session.overflow and self._scheduler.has_room(session.id):
            self._scheduler.submit(session.id, session.overflow.popleft())
            self._wake.notify()
