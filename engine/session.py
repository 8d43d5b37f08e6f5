"""`Session`: one followed object among many, served by the engine's thread."""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from ..errors import FrameDroppedError, OptionError, StateError
from ..vision import Frame, Image
from .futures import as_step_error, fail
from .inputs import Clock
from .scheduler import Policy
from .track import Track
from .tracking import TargetMemory

if TYPE_CHECKING:
    from .service import Service

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True)
class SessionOptions:
    """How a session's frames are queued.

    Attributes:
        policy: what happens to a frame that finds the queue full, see ``Policy``.
        deadline_ms: within how long a frame wants its answer; the earliest deadline goes first.
        queue: frames that may wait.
    """

    policy: Policy = Policy.WAIT
    deadline_ms: float = 100.0
    queue: int = 4

    def __post_init__(self) -> None:
        if self.policy not in list(Policy):
            raise OptionError(f"there is no policy {self.policy!r}", f"choose one of {', '.join(Policy)}")
        object.__setattr__(self, "policy", Policy(self.policy))
        numbers = [self.deadline_ms, self.queue]
        if any(isinstance(number, bool) or not isinstance(number, int | float) for number in numbers) or not (
            0 < self.deadline_ms <= 3.6e6 and 1 <= self.queue <= 10_000 and self.queue == int(self.queue)
        ):
            raise OptionError(
                f"deadline_ms is {self.deadline_ms!r} and queue is {self.queue!r}",
                "give milliseconds above 0, at most an hour, and 1 to 10,000 frames",
            )
        object.__setattr__(self, "queue", int(self.queue))

    @classmethod
    def from_json(cls, table: Mapping[str, Any]) -> tuple[Self, str | None, int]:
        """Options, id and dropped frames as a snapshot has them; empty for a target that had no queue.

        Raises:
            StateError: a value is missing, unknown or out of range.
        """
        if not table:
            return cls(), None, 0
        values = dict(table)
        try:
            key, dropped = check_id(values.pop("id")), values.pop("dropped")
            if isinstance(dropped, bool) or not isinstance(dropped, int) or not 0 <= dropped < 2**62:
                raise OptionError(f"dropped is {str(dropped)[:40]}", "")
            return cls(**values), key, dropped
        except (KeyError, TypeError, ValueError, OverflowError, OptionError) as error:
            raise StateError(
                f"the snapshot's session options cannot be used ({str(error)[:120]})",
                "take the snapshot again, or get an undamaged copy of it",
            ) from error


@dataclass(eq=False)
class Job:
    """One frame between ``submit`` and its answer."""

    session: Session
    frame: Frame
    submitted: float
    future: Future[Track] = field(default_factory=Future)

    def answer(self, answer: Track | Exception, dropped: int, began: float) -> None:
        """Resolves the future of a frame whose step began then (``time.monotonic``)."""
        if isinstance(answer, Exception):
            self.future.set_exception(as_step_error(answer))
        else:
            timings = replace(answer.timings, queue_ms=1e3 * (began - self.submitted))
            self.future.set_result(replace(answer, dropped=dropped, timings=timings))

    def drop(self) -> None:
        """Resolves the future of a frame that was never run."""
        problem = f"frame {self.frame.index} was dropped by policy {self.session.options.policy}"
        fail(self.future, FrameDroppedError(problem, "send frames more slowly, or choose the policy WAIT"))


class Session:
    """One followed object: what ``Engine.open`` gives. Every frame ends in one answer or one typed error.

    - StepError: the model failed, or gave numbers that are not finite; the session is as it was.
    - FrameDroppedError: the policy dropped the frame; the next ``Track.dropped`` counts it.
    - SessionError: the session or the engine was closed before the frame was run.

    Attributes:
        id: unique in the engine.
        options: how its frames are queued.
    """

    def __init__(
        self, service: Service, key: str, slot: int, memory: TargetMemory, options: SessionOptions
    ) -> None:
        self.id = key
        self.options = options
        self.slot = slot
        self.memory = memory  # only the engine's thread changes it
        self.clock: Clock = memory.clock  # at the last frame that was submitted
        self.overflow: deque[Job] = deque()  # frames whose callers wait for room in the queue
        self.closed = False
        self._service = service

    async def submit(self, frame: Frame | Image) -> Track:
        """Where the target is in the next frame. Waits for room where the policy is ``WAIT``.

        Cancelling takes the frame back as long as its step has not begun.

        Raises:
            FrameError: the frame has another size, or is not later than the one submitted before.
            StepError, FrameDroppedError, SessionError: see the class.
        """
        job = self._service.submit(self, frame, wait=True)
        try:
            return await asyncio.wrap_future(job.future)
        except asyncio.CancelledError:
            self._service.withdraw(job)
            raise

    def submit_nowait(self, frame: Frame | Image) -> Future[Track]:
        """Like ``submit`` for callers without an event loop: a future, whose ``result`` waits.

        Raises:
            CapacityError: the queue is full and the policy is ``WAIT``.
            FrameError, SessionError: as ``submit``.
        """
        return self._service.submit(self, frame, wait=False).future

    def update(self, frame: Frame | Image) -> Track:
        """Like ``submit`` for callers without an event loop: waits for room and for the answer."""
        return self._service.submit(self, frame, wait=True).future.result()

    def snapshot(self) -> Future[bytes]:
        """A future of ``Engine.snapshot``."""
        return self._service.snapshot(self)

    def close(self) -> None:
        """Ends the session at once; frames that wait get a SessionError. Closing twice is harmless."""
        self._service.end(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def check_id(key: object) -> str:
    """Raises OptionError unless ``key`` can name a session, and a file."""
    if not isinstance(key, str) or not _ID.fullmatch(key):
        raise OptionError(f"{str(key)[:80]!r} cannot name a session", "use 1 to 64 letters, digits, - and _")
    return key
