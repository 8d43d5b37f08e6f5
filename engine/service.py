"""What a session asks of its engine: inline on the caller's thread, until somebody submits without waiting.

From then on frames fly on the lanes (``lane_threads.py``), and so does what is pushed.
"""

from __future__ import annotations

import contextlib
import threading
import time
import uuid
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any

from ..errors import FrameError, SessionError, VideoError
from ..vision import Frame, Image
from .ahead import pipelined
from .futures import closed_error, obey
from .inputs import Clock, as_frame
from .lane_threads import LaneThreads
from .session import Job, Session
from .session_options import SessionOptions, check_id
from .task import begin, put_right


class Service(LaneThreads):
    """The sessions of an engine, as they and the engine call it: see ``Host``."""

    def open(
        self,
        frame: Frame | Image | None,
        session_id: str | None,
        options: SessionOptions,
        given: dict[str, Any],
        part_of: str = "",
    ) -> Future[Session[Any]]:
        """Opens a session; a future, which is done at once where nothing runs on lanes."""
        clock = None
        if frame is not None:
            first = as_frame(frame, None, self._task.reference_rate)
            given, clock = {"frame": first, **given}, Clock.of(first)
        session = self._reserve(session_id, options, 0, part_of)
        session.clock = clock
        job = Job(session, lambda _: begin(self._task, given), clock, time.monotonic(), kind="open")
        return self._enter(session, job)

    def resume_session(
        self, blob: bytes, session_id: str | None, changed: dict[str, Any], part_of: str = ""
    ) -> Future[Session[Any]]:
        """Goes on with a session from its blob, under its old id and options unless others are given."""
        found = self._core.unpack(blob)
        kept = found.about.options
        own = {"policy": kept.policy, "deadline_ms": kept.deadline_ms, "queue": kept.queue, **changed}
        options, dropped = SessionOptions(**own), found.about.dropped
        session = self._reserve(session_id or found.about.id, options, dropped, part_of)

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

    def correct(self, session: Session[Any], given: dict[str, Any]) -> Future[Any]:
        """See ``Host``: goes before the frames that wait, and is not dropped."""
        frame = given.get("frame")
        clock = Clock.of(frame) if isinstance(frame, Frame) else None
        now = time.monotonic()
        job = Job(session, lambda memory: put_right(self._task, memory, given), clock, now, kind="correction")
        if not self._threads:
            with self._inline:
                if not self._threads:
                    self._check(session)
                    obey(lambda: self._fly(job), job.future)
                    return job.future
        self.hurry(job)
        return job.future

    def recall(self, session: Session[Any]) -> Future[Session[Any]]:
        """Takes back every frame without an answer, between two of its turns."""

        def back() -> Session[Any]:
            if session.closed:
                raise closed_error(session.id)
            with self._wake:
                dropped = self._scheduler.num_dropped(session.id)
                jobs = self._withdrawn(session)
                self._set(session, session.standing)
                self._queue(session, dropped)
            self._refuse(
                jobs, SessionError(f"a frame of session {session.id!r} was taken back", "send it again")
            )
            return session

        return self.call(back, session)

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
        flight = job.begin()
        with self._kept(session, flying=True):
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
                session.clock = session.standing.clock
                if not flight.is_done:
                    flight.close(closed_error(session.id))

    def ahead(self, session: Session[Any], frames: Iterable[Frame], lanes: int) -> Iterator[Any]:
        """See ``Host``."""
        coming = iter(frames)
        try:
            for frame in coming:
                yield from self.stream(session, frame)
                lanes = self._task.side_by_side(session.memory, lanes)
                break
            if lanes > 1 and not self._threads:
                with self._kept(session, flying=True):
                    yield from pipelined(self._core, session, coming, lanes, self._check_flying)
            else:
                for frame in coming:
                    yield from self.stream(session, frame)
        except (FrameError, VideoError):  # the video ends here: what is still held is part of it
            yield from self.stream(session, None)
            raise
        yield from self.stream(session, None)

    def _check_flying(self, session: Session[Any]) -> None:
        self._check(session, flying=True)

    def _fly(self, job: Job) -> Any:
        """From the start to the end, here."""
        self._core.pilot.fly([job.begin()])
        return self._settle(job)

    def _settle(self, job: Job) -> Any:
        job.settle()
        job.session.clock = job.session.standing.clock
        dropped = 0
        if job.begin().error is None and self._scheduler.num_dropped(job.session.id):
            with self._wake:  # a snapshot was restored that tells of some
                dropped = self._scheduler.take_dropped(job.session.id)
        return job.answered(dropped)

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
                self._abort(job)
        try:
            job.future.result()
        finally:
            del job  # of an error that is raised here, it would hold the traceback, which holds this

    def _abort(self, job: Job) -> None:
        """Gives a frame up that nobody will take: once its turn has ended, it never was."""

        error = SessionError("the frame was given up", "push it again")

        def give_up() -> None:
            with self._wake:
                if not job.future.done() and job.flight is not None:
                    self._scheduler.unpark(job.session.id, job)
                    job.flight.close(error)  # its next turn ends it

        if job.future.cancel():
            return
        with contextlib.suppress(SessionError):  # the engine is being closed, and ends all
            self.call(give_up, job.session)
        if threading.current_thread() not in self._threads:
            job.future.exception()

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

    def _reserve(
        self, given: str | None, options: SessionOptions, dropped: int, part_of: str
    ) -> Session[Any]:
        """A session with an id, a slot and a queue, not yet open. Raises SessionError or CapacityError."""
        key = uuid.uuid4().hex if given is None else check_id(given)
        with self._wake:
            self._make_room(key)
            if self._closing:
                raise SessionError(self._why, "load a new one")
            if key in self._sessions:
                raise SessionError(
                    f"there is a session {key!r} already", "choose another id, or close it first"
                )
            session: Session[Any] = Session(self, key, self._core.slots.take(), options, part_of)
            self._sessions[key] = session
            self._queue(session, dropped)
        return session
