"""The lanes of an engine: threads that give the most urgent frame of any session one turn after the other.

Callers on any thread, and event loops, queue frames under one lock and get futures. A lane takes a
frame (or, where frames share one call, a batch of them), gives it one turn without the lock, and puts it
back in line until it has come to its end. Whatever else needs a session's row waits until no turn of that
session is under way, and holds up nobody else.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, nullcontext
from typing import Any, TypeVar

from ..errors import SessionError, StepError
from ..vision import Frame, Image
from .flight import OnPart
from .futures import Landing, closed_error, fail, obey
from .inputs import Clock, as_frame, later
from .roster import Errand, Roster
from .scheduler import Policy
from .session import Job, Session

T = TypeVar("T")


class LaneThreads(Roster):
    """Frames from any thread, and the lanes that fly them."""

    def start(self) -> None:
        """From now on frames fly on the engine's lanes."""
        with self._inline, self._wake:
            if self._closing:
                raise SessionError(self._why, "load a new one")
            if self._threads:
                return
            for number in range(self._core.lanes.workers):
                name = f"framestate-lane-{number}"
                self._threads.append(threading.Thread(target=self._run, name=name, daemon=True))
            self._alive = len(self._threads)
            for thread in self._threads:
                thread.start()

    def submit(
        self, session: Session[Any], frame: Frame | Image | None, *, wait: bool, on_part: OnPart | None = None
    ) -> Job:
        """Queues a frame; with ``wait`` its caller waits for room where the policy is ``WAIT``."""
        if not self._threads:
            self.start()
        with self._wake:
            job, dropped = self._job(session, frame, on_part), None
            waits = frame is None or (wait and session.options.policy is Policy.WAIT)
            if waits and not (self._scheduler.has_room(session.id) and not session.overflow):
                session.overflow.append(job)
            else:
                dropped = self._scheduler.submit(session.id, job)
            session.clock = job.clock or session.clock
            session.flushed = session.flushed or frame is None
            self._wake.notify()
        if dropped is not None:
            dropped.drop()
        return job

    def hurry(self, job: Job) -> None:
        """Queues a correction, before the session's frames that wait."""
        session = job.session
        with self._wake:
            self._check(session)
            self._scheduler.hurry(session.id, job)
            session.clock = later(session.clock, job.clock)
            self._wake.notify()

    def withdraw(self, job: Job) -> None:
        """Takes a frame back that nobody waits for any more, unless its first turn has begun."""
        with self._wake:
            if job in job.session.overflow:
                job.session.overflow.remove(job)
            elif self._scheduler.withdraw(job.session.id, job):
                self._admit(job.session)

    def resume(self, job: Job) -> None:
        """A flight that has paused, or is about to, goes on."""
        with self._wake:
            if self._scheduler.unpark(job.session.id, job):
                self._wake.notify()
            else:
                job.resumed = True

    def landing(self, future: Future[T]) -> asyncio.Future[T]:
        """What can be awaited for a future; the loop is woken once for all that have landed by then."""
        loop = asyncio.get_running_loop()
        landing = self._landings.get(loop)
        if landing is None:
            with self._wake:
                landing = self._landings.setdefault(loop, Landing(loop))
        return landing.expect(future)

    def call(self, function: Callable[[], T], session: Session[Any] | None = None) -> Future[T]:
        """Runs a function where rows are touched: on a lane, while no turn of the session is under way."""
        future: Future[T] = Future()
        with self._wake:
            if self._closing:
                raise SessionError(self._why, "load a new one")
            own = session is not None and session.is_flying  # its turns hold the lock that is taken below
            here = threading.current_thread() in self._threads  # as in a callback of a future
            if self._threads and not here and not own:
                self._errands.append((session, function, future))
                self._wake.notify()
                return future
        with nullcontext() if own else self._kept(session), self._inline:
            obey(function, future)
        return future

    def close(self) -> None:
        """Ends all sessions and the lanes; whatever waits gets a SessionError."""
        with self._wake:
            self._closing = True
            self._wake.notify_all()
        if threading.current_thread() in self._threads:
            return
        for thread in self._threads:
            thread.join()
        with self._inline:
            self._finish()

    def _run(self) -> None:
        try:
            while self._turn():
                pass
        except BaseException as error:
            with self._wake:
                self._why = f"the engine's thread ended with {type(error).__name__}: {error}"
                self._closing = True
                self._wake.notify_all()
            raise
        finally:
            with self._wake:
                self._alive -= 1
            if not self._alive:
                self._finish()

    def _turn(self) -> bool:
        """Waits for something to do, and does it; False when the engine closes."""
        errand, batch = self._next()
        if errand is not None:
            session, function, future = errand
            try:
                obey(function, future)
            finally:
                if session is not None:
                    with self._wake:
                        self._scheduler.unclaim(session.id)
        elif batch:
            self._serve(batch)
        return not self._closing

    def _next(self) -> tuple[Errand | None, list[Job]]:
        """What to do next: an errand, or frames; neither when the engine closes. Waits for it."""
        with self._wake:
            while not self._closing:
                errand = self._take_errand()
                batch, seconds = ([], None) if errand is not None else self._take()
                if errand is not None or batch:
                    if self._idle and (self._errands or self._scheduler.is_ready):
                        self._wake.notify()
                    if batch:
                        self.num_steps, self.num_flown = self.num_steps + 1, self.num_flown + len(batch)
                    return errand, batch
                self._idle += 1
                self._wake.wait(seconds)
                self._idle -= 1
            return None, []

    def _take_errand(self) -> Errand | None:
        """The first errand whose session has no turn under way; it is kept free of turns from now on."""
        for errand in self._errands:
            session = errand[0]
            if session is None or self._claimed(session):
                self._errands.remove(errand)
                return errand
        return None

    def _take(self) -> tuple[list[Job], float | None]:
        """A batch without the frames whose futures were cancelled, or the seconds until there may be one."""
        batch = []
        for key, job in self._scheduler.take():
            if job.flight is not None or job.future.set_running_or_notify_cancel():
                batch.append(job)
            else:
                self._scheduler.done([key])
                if job.kind == "open":
                    self._forget(job.session)
            self._admit(job.session)
        at = None if batch else self._scheduler.wake_at()
        return batch, None if at is None else max(0.0, at - time.monotonic())

    def _serve(self, batch: list[Job]) -> None:
        """One turn of each frame of a batch, and the answers of those that have ended."""
        began = time.monotonic()
        for job in batch:
            job.began = job.began or began
        try:
            self._core.pilot.turn([job.begin() for job in batch])
            done = [job for job in batch if job.begin().is_done]
            self._core.pilot.commit([job.begin() for job in done])
            for job in done:
                job.settle()
        except BaseException:
            error = StepError("the engine's thread ended during the step", "load the engine again")
            for job in batch:
                fail(job.future, error)
            raise
        with self._wake:
            self._note(time.monotonic() - began)
            dropped = {id(job): self._after(job) for job in batch}
        for job in done:
            self._answer(job, dropped[id(job)])
        batch.clear()  # an error's traceback leads here, and a job to its error
        done.clear()
        del job

    def _after(self, job: Job) -> int:
        """Puts a frame back in line, or makes room for the session's next. Needs the lock.

        Returns how many frames the answer tells of as dropped.
        """
        flight, key = job.begin(), job.session.id
        if not flight.is_done:
            if not flight.paused or job.resumed:
                job.resumed = False
                self._scheduler.again(key, job)
            else:
                self._scheduler.park(key, job)
            return 0
        if job.kind == "open":
            if flight.error is not None:
                self._forget(job.session)
                return 0
            job.session.is_open = True
        if flight.error is not None:  # it can be tried again
            if job.kind == "flush":
                job.session.flushed = False
            elif job.session.clock is job.clock:
                job.session.clock = job.session.standing.clock
        self._scheduler.done([key])
        return self._scheduler.take_dropped(key) if flight.error is None else 0

    def _answer(self, job: Job, dropped: int) -> None:
        flight = job.begin()
        if flight.error is not None:
            job.future.set_exception(flight.failure())
            return
        try:
            answer = job.answered(dropped)
        except Exception as error:
            job.future.set_exception(error)
        else:
            job.future.set_result(answer)

    def _finish(self) -> None:
        """Answers everything that is left with a SessionError, and frees all rows."""
        with self._wake:
            sessions, self._sessions = list(self._sessions.values()), {}
            errands, self._errands = list(self._errands), deque()
            jobs: list[Job] = []
            for session in sessions:
                session.closed = True
                jobs += self._withdrawn(session)
        error = SessionError(self._why, "load a new one")
        self._refuse(jobs, error)
        for session in sessions:
            self._core.release(session.slot)
        for _, _, future in errands:
            fail(future, error)

    def _job(self, session: Session[Any], frame: Frame | Image | None, on_part: OnPart | None) -> Job:
        """A frame that fits, or the flush. Raises SessionError or FrameError."""
        self._check(session)
        now = time.monotonic()
        if frame is None:
            return Job(session, self._task.flush, None, now, on_part, "flush")
        current = as_frame(frame, session.clock, self._task.reference_rate)
        if session.clock is not None:
            self._task.check(session.clock, current)
        return Job(session, lambda memory: self._task.step(memory, current), Clock.of(current), now, on_part)

    def _check(self, session: Session[Any], *, flying: bool = False) -> None:
        if session.closed or self._closing:
            raise closed_error(session.id)
        if session.flushed or session.standing.ended:
            raise SessionError(f"session {session.id!r} is flushed", "open a new one")
        if session.is_flying and not flying:
            raise SessionError(f"a frame of session {session.id!r} is under way", "let it end first")

    @contextmanager
    def _kept(self, session: Session[Any] | None, *, flying: bool = False) -> Iterator[None]:
        """While a caller's own thread works on a session, no lane does."""
        if session is None:
            yield
            return
        while True:
            with self._wake:
                if self._claimed(session):
                    break
            time.sleep(0.0005)  # a turn, on a lane, that will end
        session.is_flying = flying
        try:
            yield
        finally:
            session.is_flying = False
            with self._wake:
                self._scheduler.unclaim(session.id)
                self._wake.notify()
