"""Sessions on one engine: inline on the caller's thread, or many beside one another on the engine's lanes.

Until somebody submits a frame without waiting for it, everything runs on the thread that asks. From then on, callers
on any thread, and event loops, queue frames under one lock and get futures. Each lane takes the most urgent frame
(or, where frames share one call, a batch of them), gives it one turn without the lock, and puts it back in line
until it has come to its end. Whatever else needs a session's row (its end, a snapshot, going back to one) waits until
no turn of that session is under way, and holds up nobody else.
"""

from __future__ import annotations

import asyncio
import threading
import time
import uuid
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any, TypeVar

from ..errors import FramestateError, SessionError, StepError
from ..vision import Frame, Image
from .ahead import pipelined
from .core import Core
from .flight import OnPart
from .futures import Landing, as_step_error, claimed, closed_error, fail, obey
from .inputs import Clock, as_frame
from .scheduler import Policy, Scheduler
from .session import Job, Session, Standing
from .session_options import SessionOptions, check_id
from .task import begin

T = TypeVar("T")
Errand = tuple[Session[Any] | None, Callable[[], Any], Future[Any]]

BATCH_PATIENCE_S = 0.002
"""How long a frame is held back for company where frames share one call."""


class Service:
    """The sessions of an engine, and the lanes that fly their frames."""

    def __init__(self, core: Core) -> None:
        self._core, self._task = core, core.task
        self._wake = threading.Condition()  # guards all that follows
        self._inline = threading.RLock()  # held while a frame flies on a caller's own thread
        patience = BATCH_PATIENCE_S if core.lanes.batched else 0.0
        self._scheduler: Scheduler[Job] = Scheduler(core.lanes.max_batch, patience=patience)
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

    # Sessions, from any thread

    def open(
        self,
        frame: Frame | Image | None,
        session_id: str | None,
        options: SessionOptions,
        given: dict[str, Any],
    ) -> Future[Session[Any]]:
        """Opens a session; a future, which is done at once where nothing runs on lanes."""
        clock = None
        if frame is not None:
            first = as_frame(frame, None, self._task.reference_rate)
            given, clock = {"frame": first, **given}, Clock.of(first)
        session = self._reserve(session_id, options, 0)
        session.clock = clock
        job = Job(session, lambda _: begin(self._task, given), clock, time.monotonic(), kind="open")
        return self._enter(session, job)

    def resume_session(
        self, blob: bytes, session_id: str | None, changed: dict[str, Any]
    ) -> Future[Session[Any]]:
        """Goes on with a session from its blob, under its old id and options unless others are given."""
        found = self._core.unpack(blob)
        kept = found.about.options
        own = {"policy": kept.policy, "deadline_ms": kept.deadline_ms, "queue": kept.queue, **changed}
        options, dropped = SessionOptions(**own), found.about.dropped
        session = self._reserve(session_id or found.about.id, options, dropped)

        def fill() -> Session[Any]:
            try:
                self._core.fill(session.slot, found.row)
            except BaseException:
                self._leave(session)
                raise
            self._set(session, found.standing)
            session.is_open = True
            return session

        return self.call(fill, session)

    def replace(self, session: Session[Any], blob: bytes) -> Future[Session[Any]]:
        """Puts an open session back to a snapshot, between two of its turns, as a whole or not at all."""
        found = self._core.unpack(blob)

        def swap() -> Session[Any]:
            if session.closed:
                raise closed_error(session.id)
            self._core.fill(session.slot, found.row)
            with self._wake:
                jobs = self._withdrawn(session)
                self._set(session, found.standing)
                session.options = found.about.options
                self._queue(session, found.about.dropped)
            self._refuse(
                jobs,
                SessionError(
                    f"session {session.id!r} was replaced by a snapshot", "send the frames that follow it"
                ),
            )
            return session

        return self.call(swap, session)

    def snapshot(self, session: Session[Any]) -> Future[bytes]:
        """The session as one blob."""

        def take() -> bytes:
            if session.closed:
                raise closed_error(session.id)
            with self._wake:
                dropped = self._scheduler.num_dropped(session.id)
            return self._core.pack(session, dropped)

        return self.call(take, session)

    def end(self, session: Session[Any]) -> None:
        """Closes a session: waiting frames get a SessionError; its row is freed after the turn under way."""
        with self._wake:
            if session.closed:
                return
            session.closed = True
            jobs = [*self._scheduler.drain(session.id), *session.overflow]
            session.overflow.clear()
            served = bool(self._threads) and not self._closing
            if served:
                self._errands.append((session, lambda: self._leave(session), Future()))
                self._wake.notify()
        self._refuse(jobs, closed_error(session.id))
        if not served and not self._closing:
            with self._inline:
                self._leave(session)

    def sessions(self) -> list[Session[Any]]:
        """Those that are open."""
        with self._wake:
            return [one for one in self._sessions.values() if one.is_open and not one.closed]

    # Frames on the caller's own thread

    def push(self, session: Session[Any], frame: Frame | Image | None) -> Any:
        """See ``Host``."""
        if not self._threads:
            with self._inline:
                if not self._threads:
                    return self._fly(self._job(session, frame, None))
        return self.submit(session, frame, wait=True).future.result()

    def stream(self, session: Session[Any], frame: Frame | Image | None) -> Iterator[Any]:
        """See ``Host``."""
        if self._threads:
            yield from self._stream(session, frame)
            return
        pieces: deque[Any] = deque()

        def take(piece: Any) -> bool:
            pieces.append(piece)
            return False

        with self._inline:
            job = self._job(session, frame, take)
        session.is_flying, flight = True, job.begin()
        try:
            while not flight.is_done:
                with self._inline:
                    self._check(session, flying=True)
                    self._core.pilot.turn([flight])
                while pieces:
                    yield pieces.popleft()
            with self._inline:
                self._core.pilot.commit([flight])
                self._settle(job)
        finally:
            session.is_flying = False
            session.clock = session.standing.clock
            if not flight.is_done:
                flight.close(closed_error(session.id))

    def ahead(self, session: Session[Any], frames: Iterable[Frame], lanes: int) -> Iterator[Any]:
        """See ``Host``."""
        coming = iter(frames)
        for frame in coming:
            yield from self.stream(session, frame)
            lanes = self._task.side_by_side(session.memory, lanes)
            break
        if lanes > 1 and not self._threads:
            yield from pipelined(self._core, session, coming, lanes, self._check)
        else:
            for frame in coming:
                yield from self.stream(session, frame)
        yield from self.stream(session, None)

    # Frames on the lanes

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
            here = threading.current_thread() in self._threads  # as in a callback of a future
            if self._threads and not here:
                self._errands.append((session, function, future))
                self._wake.notify()
                return future
            while here and session is not None and not self._claimed(session):
                self._wake.wait(0.001)  # its turn, on another lane, will end
        with self._inline:
            obey(function, future)
        if here and session is not None:
            with self._wake:
                self._scheduler.unclaim(session.id)
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

    # The lanes

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

    def _take_errand(self, leaving: bool = False) -> Errand | None:
        """The first errand whose session has no turn under way; it is kept free of turns from now on.

        With ``leaving`` only one of a closed session.
        """
        for errand in self._errands:
            session = errand[0]
            if leaving and (session is None or not session.closed):
                continue
            if session is None or self._claimed(session):
                self._errands.remove(errand)
                return errand
        return None

    def _claimed(self, session: Session[Any]) -> bool:
        """Whether the session is kept free of turns from now on, or is gone. Needs the lock."""
        return self._sessions.get(session.id) is not session or self._scheduler.claim(session.id)

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
            self._scheduler.note(time.monotonic() - began)
            dropped = {id(job): self._after(job) for job in batch}
        for job in done:
            self._answer(job, dropped[id(job)])

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
        if job.kind == "flush" and flight.error is not None:
            job.session.flushed = False  # it can be tried again
        self._scheduler.done([key])
        return self._scheduler.take_dropped(key) if flight.error is None else 0

    def _answer(self, job: Job, dropped: int) -> None:
        try:
            answer = job.answered(dropped)
        except Exception as error:
            job.future.set_exception(as_step_error(error))
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

    # What several of these need

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

    def _fly(self, job: Job) -> Any:
        """From the start to the end, here."""
        self._core.pilot.fly([job.begin()])
        return self._settle(job)

    def _settle(self, job: Job) -> Any:
        answer = job.answered()
        job.settle()
        job.session.clock = job.session.standing.clock
        return answer

    def _stream(self, session: Session[Any], frame: Frame | Image | None) -> Iterator[Any]:
        """The pieces of an answer that is made on the lanes, no further ahead than asked for."""
        pieces: SimpleQueue[Any] = SimpleQueue()
        end = object()

        def take(piece: Any) -> bool:
            pieces.put(piece)
            return False

        job = self.submit(session, frame, wait=True, on_part=take)
        job.future.add_done_callback(lambda _: pieces.put(end))
        try:
            while (piece := pieces.get()) is not end:
                yield piece
                self.resume(job)
        finally:
            if not job.future.done():
                self.abort(job)
        job.future.result()

    def abort(self, job: Job) -> None:
        """Gives a frame up that nobody will take; the session is as it was before it."""

        error = SessionError("the frame was given up", "push it again")

        def give_up() -> None:
            with self._wake:
                if not job.future.done() and job.flight is not None:
                    self._scheduler.unpark(job.session.id, job)
                    job.flight.close(error)  # its next turn ends it

        if not job.future.cancel():
            self.call(give_up, job.session)

    def _enter(self, session: Session[Any], job: Job) -> Future[Session[Any]]:
        """Flies an opening: here, or on the lanes."""
        with self._wake:
            served = bool(self._threads) and threading.current_thread() not in self._threads
            if served:
                self._scheduler.submit(session.id, job)
                self._wake.notify()
        if not served:
            with self._inline:
                try:
                    self._fly(job)
                except BaseException as error:
                    with self._wake:
                        self._forget(session)
                    if not isinstance(error, Exception):
                        raise
                    job.future.set_exception(error)
                else:
                    session.is_open = True
                    job.future.set_result(session)
        return job.future

    def _reserve(self, given: str | None, options: SessionOptions, dropped: int) -> Session[Any]:
        """A session with an id, a slot and a queue, not yet open. Raises SessionError or CapacityError."""
        key = uuid.uuid4().hex if given is None else check_id(given)
        with self._wake:
            self._make_room()
            if self._closing:
                raise SessionError(self._why, "load a new one")
            if key in self._sessions:
                raise SessionError(
                    f"there is a session {key!r} already", "choose another id, or close it first"
                )
            session: Session[Any] = Session(self, key, self._core.slots.take(), options)
            self._sessions[key] = session
            self._queue(session, dropped)
        return session

    def _make_room(self) -> None:
        """Waits for the row that a closed session is about to free, if there is no other. Needs the lock."""
        here = threading.current_thread() in self._threads
        while not self._core.slots.num_free and any(one.closed for one in self._sessions.values()):
            if self._closing:
                return
            errand = self._take_errand(leaving=True) if here else None
            if errand is None:
                self._wake.wait(0.001)
            else:
                obey(errand[1], errand[2])

    def _set(self, session: Session[Any], standing: Standing) -> None:
        session.standing, session.clock, session.flushed = standing, standing.clock, standing.ended

    def _queue(self, session: Session[Any], dropped: int) -> None:
        """Opens a session's queue by its options. Needs the lock."""
        o = session.options
        self._scheduler.open(
            session.id, o.policy, limit=o.queue, deadline=o.deadline_ms / 1e3, dropped=dropped
        )

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


__all__ = ["BATCH_PATIENCE_S", "Service", "claimed"]
