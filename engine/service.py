"""Many sessions on one engine: the thread that runs its steps, and the only one that touches rows.

Callers on any thread, and event loops, queue frames under one lock and get futures. The engine's thread takes
a batch from the scheduler, runs ``Engine.step`` without the lock, and resolves the futures; between steps it
does what else needs the rows: opening, closing, snapshots.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

from ..errors import SessionError, StepError
from ..vision import Frame, Image
from .futures import claimed, closed_error, fail, obey
from .inputs import BoxLike, Clock, as_frame
from .scheduler import Policy, Scheduler
from .session import Job, Session, SessionOptions, check_id
from .snapshot import pack, unpack
from .track import Track
from .tracking import TargetMemory, TrackingWork

if TYPE_CHECKING:
    from .engine import Engine

T = TypeVar("T")
BATCH_PATIENCE_S = 0.002
"""How long a frame is held back for company where frames of a step share one call."""


class Service:
    """The engine's thread and its sessions. ``Engine.service`` starts it, ``Engine.close`` ends it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        patience = BATCH_PATIENCE_S if engine.lanes.batched else 0.0
        self._scheduler: Scheduler[Job] = Scheduler(engine.lanes.max_batch, patience=patience)
        self._sessions: dict[str, Session] = {}
        self._commands: deque[tuple[Callable[[], Any], Future[Any]]] = deque()
        self._wake = threading.Condition()  # guards all of the above and the queues of the sessions
        self.num_steps = 0
        """Steps that were run."""
        self._closing = False
        self._why = "this engine is closed"
        self._thread = threading.Thread(target=self._run, name="framestate-engine", daemon=True)
        self._thread.start()

    # Sessions, from any thread

    def begin(
        self, frame: Frame | Image, box: BoxLike, *, session_id: str | None = None, **options: Any
    ) -> Future[Session]:
        """A future of ``open``."""
        settings, key = SessionOptions(**options), self._key(session_id)

        def start() -> Session:
            self._check_free(key)
            return self._enter(key, *self._engine.begin(frame, box), settings, 0)

        return self.call(start)

    async def open(self, frame: Frame | Image, box: BoxLike, **options: Any) -> Session:
        """Opens a session. A caller that is cancelled meanwhile leaves none behind.

        Args:
            frame: the first frame.
            box: the target in it.
            options: those of ``SessionOptions``, and ``session_id``; without one it is drawn at random.

        Raises:
            BoxError, CapacityError: as ``Engine.track``.
            OptionError: an option is out of range.
            SessionError: the id is taken, or the engine is closed.
        """
        return await claimed(self.begin(frame, box, **options))

    def resume(self, blob: bytes, *, session_id: str | None = None, **options: Any) -> Future[Session]:
        """A future of ``restore``."""
        row, memory, queue = unpack(self._engine, blob)
        settings, kept, dropped = SessionOptions.from_json(queue)
        settings = replace(settings, **options)
        key = self._key(session_id or kept)

        def start() -> Session:
            self._check_free(key)
            return self._enter(key, self._engine.fill(row), memory, settings, dropped)

        return self.call(start)

    async def restore(self, blob: bytes, **options: Any) -> Session:
        """Goes on with a session from its blob, under its old id and options unless others are given.

        Raises:
            StateError: the blob is damaged, or of another bundle or format version. Nothing is changed.
            CapacityError, OptionError, SessionError: as ``open``.
        """
        return await claimed(self.resume(blob, **options))

    def snapshot(self, session: Session) -> Future[bytes]:
        """A future of ``Engine.snapshot``."""

        def take() -> bytes:
            if session.closed:
                raise closed_error(session.id)
            with self._wake:
                dropped = self._scheduler.num_dropped(session.id)
            options = session.options
            about = {
                "policy": str(options.policy),
                "deadline_ms": options.deadline_ms,
                "queue": options.queue,
            }
            return pack(
                self._engine, session.slot, session.memory, {**about, "id": session.id, "dropped": dropped}
            )

        return self.call(take)

    def end(self, session: Session) -> None:
        """Closes a session: waiting frames get a SessionError; its row is freed after the running step."""
        with self._wake:
            if session.closed:
                return
            session.closed = True
            jobs = [*self._scheduler.close(session.id), *session.overflow]
            session.overflow.clear()
            self._post(lambda: self._leave(session))
        for job in jobs:
            fail(job.future, closed_error(session.id))

    def sessions(self) -> list[Session]:
        """Those that are open."""
        with self._wake:
            return [session for session in self._sessions.values() if not session.closed]

    # Frames, from any thread

    def submit(self, session: Session, frame: Frame | Image, *, wait: bool) -> Job:
        """Queues a frame; with ``wait`` its caller waits for room where the policy is ``WAIT``."""
        rate = self._engine.task.options.reference_rate
        with self._wake:
            if session.closed or self._closing:
                raise closed_error(session.id)
            current = as_frame(frame, session.clock, rate)
            session.clock.check(current)
            job, dropped = Job(session, current, time.monotonic()), None
            if wait and session.options.policy is Policy.WAIT and not self._scheduler.has_room(session.id):
                session.overflow.append(job)
            else:
                dropped = self._scheduler.submit(session.id, job)
            session.clock = Clock.of(current)
            self._wake.notify()
        if dropped is not None:
            dropped.drop()
        return job

    def withdraw(self, job: Job) -> None:
        """Takes a frame back that nobody waits for any more, unless its step has begun."""
        with self._wake:
            if job in job.session.overflow:
                job.session.overflow.remove(job)
            elif self._scheduler.withdraw(job.session.id, job):
                self._admit(job.session)

    # The engine's thread

    def call(self, function: Callable[[], T]) -> Future[T]:
        """Runs a function on the engine's thread, between two steps."""
        if (
            threading.current_thread() is self._thread
        ):  # a callback of a future, which must not wait for itself
            future: Future[T] = Future()
            obey(function, future)
            return future
        with self._wake:
            if self._closing:
                raise SessionError(self._why, "load a new one")
            return self._post(function)

    def close(self) -> None:
        """Ends the thread and all sessions; whatever waits gets a SessionError."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _run(self) -> None:
        try:
            while self._turn():
                pass
        except BaseException as error:
            self._why = f"the engine's thread ended with {type(error).__name__}: {error}"
            raise
        finally:
            self._finish()

    def _turn(self) -> bool:
        """Waits for something to do, and does it; False when the engine closes."""
        commands, batch = self._next()
        for function, future in commands:
            obey(function, future)
        if commands:
            self._engine.slots.check()
        if batch:
            self._serve(batch)
        return not self._closing

    def _next(self) -> tuple[Sequence[tuple[Callable[[], Any], Future[Any]]], list[Job]]:
        """What to do next: commands, a batch of frames, or neither when the engine closes. Waits for it."""
        with self._wake:
            batch: list[Job] = []
            while not (self._closing or self._commands or batch):
                batch = self._take()
                if not batch:
                    at = self._scheduler.wake_at()
                    self._wake.wait(None if at is None else max(0.0, at - time.monotonic()))
            commands, self._commands = self._commands, deque()
            return commands, batch

    def _take(self) -> list[Job]:
        """A batch without the frames whose futures were cancelled."""
        batch = []
        for key, job in self._scheduler.take():
            if job.future.set_running_or_notify_cancel():
                batch.append(job)
            else:
                self._scheduler.done([key], self._scheduler.step_seconds)
            self._admit(job.session)
        return batch

    def _serve(self, batch: list[Job]) -> None:
        """One step of the engine, and its answers."""
        began = time.monotonic()
        works = [TrackingWork(job.session.slot, job.session.memory, job.frame) for job in batch]
        answers: Sequence[Track | Exception] = []
        try:
            self.num_steps += 1
            answers = self._engine.step(works)
        finally:
            keys = [job.session.id for job in batch]
            with self._wake:
                self._scheduler.done(keys, time.monotonic() - began)
                good = [isinstance(answer, Track) for answer in answers] or [False] * len(batch)
                dropped = [
                    self._scheduler.take_dropped(key) if one else 0
                    for key, one in zip(keys, good, strict=True)
                ]
            gone = [StepError("the engine's thread ended during the step", "load the engine again")]
            for job, answer, count in zip(batch, answers or gone * len(batch), dropped, strict=True):
                job.answer(answer, count, began)

    def _finish(self) -> None:
        """Answers everything that is left with a SessionError, and frees every row."""
        with self._wake:
            self._closing = True
            jobs: list[Job] = []
            for session in self._sessions.values():
                session.closed = True
                jobs += [*self._scheduler.close(session.id), *session.overflow]
                session.overflow.clear()
            commands, self._commands = self._commands, deque()
        for session in list(self._sessions.values()):
            self._leave(session)
        for future in [*(job.future for job in jobs), *(future for _, future in commands)]:
            fail(future, SessionError(self._why, "load a new one"))

    def _enter(
        self, key: str, slot: int, memory: TargetMemory, options: SessionOptions, dropped: int
    ) -> Session:
        session = Session(self, key, slot, memory, options)
        with self._wake:
            self._scheduler.open(
                key,
                options.policy,
                limit=options.queue,
                deadline=options.deadline_ms / 1e3,
                dropped=dropped,
            )
            self._sessions[key] = session
        return session

    def _leave(self, session: Session) -> None:
        with self._wake:
            del self._sessions[session.id]
        self._engine.release(session.slot)

    def _admit(self, session: Session) -> None:
        """Moves a frame whose caller waits for room into the queue. Needs the lock."""
        while session.overflow and self._scheduler.has_room(session.id):
            self._scheduler.submit(session.id, session.overflow.popleft())
            self._wake.notify()

    def _post(self, function: Callable[[], T]) -> Future[T]:
        """Leaves a function to the engine's thread. Needs the lock."""
        future: Future[T] = Future()
        self._commands.append((function, future))
        self._wake.notify()
        return future

    def _check_free(self, key: str) -> None:
        if key in self._sessions:
            raise SessionError(f"there is a session {key!r} already", "choose another id, or close it first")

    def _key(self, given: str | None) -> str:
        return uuid.uuid4().hex if given is None else check_id(given)
