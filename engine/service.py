"""Many sessions on one engine: the thread that runs its steps, and the only one that touches rows.

Callers on any thread, and event loops, queue frames under one lock and get futures. The engine's thread takes
a batch from the scheduler, runs ``Engine.step`` without the lock, and resolves the futures; between steps it
does what else needs the rows: opening, closing, snapshots.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..errors import SessionError, StepError
from ..vision import Frame, Image
from .futures import claimed, closed_error, fail
from .inputs import BoxLike, Clock, as_frame
from .scheduler import Policy, Scheduler
from .session import Job, Session, SessionOptions, check_id
from .snapshot import pack, unpack
from .thread import EngineThread
from .track import Track
from .tracking import TargetMemory, TrackingWork

if TYPE_CHECKING:
    from .engine import Engine

BATCH_PATIENCE_S = 0.002
"""How long a frame is held back for company where frames of a step share one call."""


class Service(EngineThread[Job]):
    """The engine's thread and its sessions. ``Engine.service`` starts it, ``Engine.close`` ends it."""

    def __init__(self, engine: Engine) -> None:
        super().__init__()
        self._engine = engine
        patience = BATCH_PATIENCE_S if engine.lanes.batched else 0.0
        self._scheduler: Scheduler[Job] = Scheduler(engine.lanes.max_batch, patience=patience)
        self._sessions: dict[str, Session] = {}  # the lock guards it, the scheduler and the sessions' queues
        self.num_steps = 0
        """Steps that were run."""
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

    def swap(self, session_id: str, blob: bytes) -> Future[Session]:
        """A future of ``replace``."""
        row, memory, queue = unpack(self._engine, blob)
        settings, _, dropped = SessionOptions.from_json(queue)

        def start() -> Session:
            with self._wake:
                session = self._sessions.get(session_id)
                if session is None or session.closed:
                    raise closed_error(session_id)
                self._engine.store.load_row(session.slot, row)
                jobs = self._withdrawn(session)
                session.memory, session.clock, session.options = memory, memory.clock, settings
                self._queue(session, dropped)
            for job in jobs:
                fail(
                    job.future,
                    SessionError(
                        f"session {session_id!r} was replaced by a snapshot", "send the frames that follow it"
                    ),
                )
            return session

        return self.call(start)

    async def replace(self, session_id: str, blob: bytes) -> Session:
        """Puts an open session back to a snapshot: its state, memory, clock, queue options and counters.

        It happens between two steps, as a whole or not at all. The session keeps its id, whatever id the
        blob has. Frames that wait get a SessionError; one in a step is answered from what was before. The
        next frame has to be later than the snapshot's last one.

        Raises:
            StateError: the blob is damaged, or of another bundle or format version. Nothing is changed.
            SessionError: there is no such session, or the engine is closed.
        """
        return await asyncio.shield(asyncio.wrap_future(self.swap(session_id, blob)))

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
            jobs = self._withdrawn(session)
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

    def _take(self) -> tuple[list[Job], float | None]:
        """A batch without the frames whose futures were cancelled."""
        batch = []
        for key, job in self._scheduler.take():
            if job.future.set_running_or_notify_cancel():
                batch.append(job)
            else:
                self._scheduler.done([key], self._scheduler.step_seconds)
            self._admit(job.session)
        at = None if batch else self._scheduler.wake_at()
        return batch, None if at is None else max(0.0, at - time.monotonic())

    def _settle(self) -> None:
        """Every row is free or belongs to one session."""
        self._engine.slots.check()

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

    def _end(self) -> list[Future[Any]]:
        """Closes every session and frees its row; the frames that wait are the ones never served."""
        with self._wake:
            jobs: list[Job] = []
            for session in self._sessions.values():
                session.closed = True
                jobs += self._withdrawn(session)
        for session in list(self._sessions.values()):
            self._leave(session)
        return [job.future for job in jobs]

    def _withdrawn(self, session: Session) -> list[Job]:
        """Takes a session out of the scheduler, and returns the frames that waited. Needs the lock."""
        jobs = [*self._scheduler.close(session.id), *session.overflow]
        session.overflow.clear()
        return jobs

    def _enter(
        self, key: str, slot: int, memory: TargetMemory, options: SessionOptions, dropped: int
    ) -> Session:
        session = Session(self, key, slot, memory, options)
        with self._wake:
            self._queue(session, dropped)
            self._sessions[key] = session
        return session

    def _queue(self, session: Session, dropped: int) -> None:
        """Opens a session's queue by its options. Needs the lock."""
        o = session.options
        self._scheduler.open(
            session.id, o.policy, limit=o.queue, deadline=o.deadline_ms / 1e3, dropped=dropped
        )

    def _leave(self, session: Session) -> None:
        with self._wake:
            del self._sessions[session.id]
        self._engine.release(session.slot)

    def _admit(self, session: Session) -> None:
        """Moves a frame whose caller waits for room into the queue. Needs the lock."""
        while session.overflow and self._scheduler.has_room(session.id):
            self._scheduler.submit(session.id, session.overflow.popleft())
            self._wake.notify()

    def _check_free(self, key: str) -> None:
        if key in self._sessions:
            raise SessionError(f"there is a session {key!r} already", "choose another id, or close it first")

    def _key(self, given: str | None) -> str:
        return uuid.uuid4().hex if given is None else check_id(given)
