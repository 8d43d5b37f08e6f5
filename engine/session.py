"""`Session`: one video, or one target in it, from its opening to its end; the same for every task."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from functools import cached_property
from types import TracebackType
from typing import Any, Generic, Literal, Protocol, Self, TypeVar

from ..errors import FrameDroppedError, FrameError
from ..vision import Frame, Image
from ..wire import stamped
from .flight import Flight, OnPart
from .futures import fail
from .inputs import Clock, later
from .session_options import SessionOptions
from .standing import Standing
from .task import Steps

Answer = TypeVar("Answer")


@dataclass(eq=False)
class Job:
    """A frame, an opening or a flush between ``submit`` and its answer.

    Attributes:
        steps: begins it, from the session's memory.
        clock: of the frame; None where there is none.
        submitted: monotonic seconds.
        on_part: takes the pieces of the answer.
        kind: what it is.
        flight: once it has begun.
        began: its first turn on a lane, monotonic seconds.
        resumed: whether it was sent on before it had paused.
    """

    session: Session[Any]
    steps: Callable[[Any], Steps[Any, Any]]
    clock: Clock | None
    submitted: float
    on_part: OnPart | None = None
    kind: Literal["open", "frame", "correction", "flush"] = "frame"
    flight: Flight | None = None
    began: float | None = None
    resumed: bool = False

    @cached_property
    def future(self) -> Future[Any]:
        """Of its answer; a frame on the caller's own thread needs none."""
        return Future()

    def begin(self) -> Flight:
        """Its flight, begun from the session's memory as it now is."""
        if self.flight is None:
            memory, steps = self.session.standing.memory, self.steps
            self.flight = Flight(self.session.slot, lambda: steps(memory), self.on_part)
        return self.flight

    def settle(self) -> None:
        """The session moves on by what its flight came to, unless that failed."""
        flight, standing = self.flight, self.session.standing
        if flight is None or flight.error is not None or flight.next is None:
            return
        self.session.standing = Standing(
            flight.next.memory,
            later(standing.clock, self.clock),
            standing.frames + (self.kind == "frame"),
            standing.ended or self.kind == "flush",
            standing.corrections + (self.kind == "correction"),
        )

    def answered(self, dropped: int = 0) -> Any:
        """What it came to; ``dropped`` frames went before it. Raises what failed it."""
        flight = self.flight
        assert flight is not None, "it has begun"
        assert flight.is_done, "it has been flown"
        if flight.error is not None:
            raise flight.failure()
        if self.kind == "open":
            return self.session
        assert flight.next is not None
        answer = flight.next.answer
        if answer is None:
            return None
        if flight.parts:
            answer = answer.with_pieces(tuple(flight.parts))
        waited = 0.0 if self.began is None else self.began - self.submitted
        return stamped(answer, dropped=dropped, timings=flight.timings(waited))

    def drop(self) -> None:
        """Resolves the future of a frame that was never run."""
        index = self.clock.index if self.clock is not None else "?"
        problem = f"frame {index} was dropped by policy {self.session.options.policy}"
        fail(self.future, FrameDroppedError(problem, "send frames more slowly, or choose the policy WAIT"))


class Host(Protocol):
    """What a session asks of its engine."""

    def push(self, session: Session[Any], frame: Frame | Image | None) -> Any:
        """The answer of a frame, or of the flush, waited for."""

    def stream(self, session: Session[Any], frame: Frame | Image | None) -> Iterator[Any]:
        """The pieces of a frame's answer, one by one; of the flush where there is no frame."""

    def ahead(self, session: Session[Any], frames: Iterable[Frame], lanes: int) -> Iterator[Any]:
        """The pieces of many frames' answers and of the flush."""

    def submit(
        self, session: Session[Any], frame: Frame | Image | None, *, wait: bool, on_part: OnPart | None = None
    ) -> Job:
        """Queues a frame, or the flush."""

    def withdraw(self, job: Job) -> None:
        """Takes a frame back that nobody waits for any more."""

    def resume(self, job: Job) -> None:
        """A flight that has paused goes on."""

    def landing(self, future: Future[Any]) -> asyncio.Future[Any]:
        """What can be awaited for a future."""

    def snapshot(self, session: Session[Any]) -> Future[bytes]:
        """The session as one blob."""

    def replace(self, session: Session[Any], blob: bytes) -> Future[Any]:
        """Puts the session back to a blob."""

    def correct(self, session: Session[Any], given: dict[str, Any]) -> Future[Any]:
        """Tells the session what somebody knows better."""

    def recall(self, session: Session[Any]) -> Future[Any]:
        """Takes back every frame without an answer."""

    def end(self, session: Session[Any]) -> None:
        """Closes the session."""


class Session(Generic[Answer]):
    """One video, or one target in it. Every frame ends in one answer or one typed error.

    ::

        with Engine.load("tracker-nano") as engine, engine.open(first, box=(x, y, w, h)) as session:
            for frame in frames:
                track = session.push(frame)

    A call that fails leaves the session as it was before it.

    - StepError: the model failed, or gave numbers that are not finite; the session is as it was.
    - FrameDroppedError: the policy dropped the frame; the next answer's ``dropped`` counts it.
    - SessionError: the session or the engine was closed before the frame was run.

    Attributes:
        id: unique in the engine.
        options: how its frames are queued.
        slot: its row of state.
        standing: what the frames answered so far have led to.
        clock: at the last frame that was handed over; None before the first one.
        is_open: whether its opening has come to an end.
        closed: whether it has ended.
        part_of: the scene whose target it follows; a snapshot of that holds it. Empty: it is by itself.
    """

    def __init__(self, host: Host, key: str, slot: int, options: SessionOptions, part_of: str = "") -> None:
        self.id = key
        self.part_of = part_of
        self.options = options
        self.slot = slot
        self.standing = Standing(None)
        self.clock: Clock | None = None
        self.flushed = False
        self.overflow: deque[Job] = deque()  # frames whose callers wait for room in the queue
        self.is_open = False
        self.is_flying = False  # a frame is under way on the caller's own thread
        self.closed = False
        self._host = host

    @property
    def memory(self) -> Any:
        """What the task remembers of the frames answered so far: a frozen value."""
        return self.standing.memory

    def push(self, frame: Frame | Image) -> Answer:
        """The answer to the next frame, waited for.

        A bare image counts as one nominal frame after the last one; a ``Frame`` brings its own time.

        Raises:
            FrameError: the frame does not fit, or is not later than the last one; the session goes on.
            StepError, FrameDroppedError, SessionError: see the class.
        """
        answer: Answer = self._host.push(self, _given(frame))
        return answer

    def stream(self, frame: Frame | Image) -> Iterator[Any]:
        """The pieces of the answer to the next frame, each made when it is asked for.

        The frame counts as taken when the last piece has been handed over. Raises as ``push``.
        """
        return self._host.stream(self, _given(frame))

    def ahead(self, frames: Iterable[Frame], lanes: int = 1) -> Iterator[Any]:
        """The pieces of the answers to all frames and of ``flush``, in order, ``lanes`` frames at a time.

        For videos that are there already: up to twice ``lanes`` pieces are made before they are asked for.
        What came before a frame that fails is handed over before its error is raised; one that does not fit,
        or cannot be read, ends the video.
        """
        return self._host.ahead(self, frames, lanes)

    async def submit(self, frame: Frame | Image, on_part: OnPart | None = None) -> Answer:
        """As ``push`` for event loops. Waits for room where the policy is ``WAIT``.

        Cancelling takes the frame back as long as its first turn has not begun.
        """
        job = self._host.submit(self, _given(frame), wait=True, on_part=on_part)
        try:
            answer: Answer = await self._host.landing(job.future)
            return answer
        except asyncio.CancelledError:
            job.future.cancel()
            self._host.withdraw(job)
            raise
        finally:
            del job  # of an error that is raised here, it would hold the traceback, which holds this

    def submit_nowait(self, frame: Frame | Image) -> Future[Answer]:
        """As ``push`` without waiting: a future.

        Raises:
            CapacityError: the queue is full and the policy is ``WAIT``.
            FrameError, SessionError: as ``push``.
        """
        return self._host.submit(self, _given(frame), wait=False).future

    def post(self, frame: Frame | Image | None, on_part: OnPart | None = None) -> Job:
        """As ``submit_nowait``, waiting in line for room; pieces go to ``on_part``. None is the flush."""
        return self._host.submit(self, frame, wait=True, on_part=on_part)

    def resume(self, job: Job) -> None:
        """A frame that ``on_part`` has paused goes on."""
        self._host.resume(job)

    def flush(self) -> Answer | None:
        """Ends the video: what is still held. No frame can follow.

        Raises SessionError: the session was flushed before, or is closed.
        """
        answer: Answer | None = self._host.push(self, None)
        return answer

    def correct(self, box: Any, **given: Any) -> Answer:
        """Puts right where the target is; it keeps its id, and its filter and template follow.

        Args:
            box: where it is, x, y, w, h in pixels, in the frame that was answered last.
            given: what else the task's ``correct`` takes. Of a tracker: ``frame``, the frame of the box, that
                one or a later one, so that the template is made from its pixels; without it the template is
                made in the next frame, where the filter expects the target.

        It goes before frames that wait, and no policy drops it. Raises as ``push``; BoxError, OptionError.
        """
        answer: Answer = self.correct_nowait(box, **given).result()
        return answer

    def correct_nowait(self, box: Any, **given: Any) -> Future[Answer]:
        """A future of ``correct``."""
        return self._host.correct(self, {"box": box, **given})

    def snapshot(self) -> bytes:
        """The session as one blob, which another process, runtime or machine can go on from.

        It holds what the frames answered so far have led to, neither queued frames nor thresholds, which are
        the engine's. Raises SessionError: the session or the engine is closed.
        """
        return self._host.snapshot(self).result()

    def snapshot_nowait(self) -> Future[bytes]:
        """A future of ``snapshot``."""
        return self._host.snapshot(self)

    def replace(self, blob: bytes) -> None:
        """Goes back to a blob: state, memory, clock, queue options and counters, as a whole or not at all.

        The session keeps its id. Frames that wait get a SessionError.

        Raises:
            StateError: the blob is damaged, or of another bundle or format version. Nothing is changed.
            SessionError: the session or the engine is closed.
        """
        self._host.replace(self, blob).result()

    def replace_nowait(self, blob: bytes) -> Future[Any]:
        """A future of ``replace``; a damaged blob is refused at once."""
        return self._host.replace(self, blob)

    def recall_nowait(self) -> Future[Any]:
        """Takes back every frame that has no answer yet, also one under way, and gives a future of that.

        They get a SessionError, and can be sent again: the session stands at the last answer.
        """
        return self._host.recall(self)

    def close(self) -> None:
        """Ends the session at once; frames that wait get a SessionError. Closing twice is harmless."""
        self._host.end(self)

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


def _given(frame: Frame | Image) -> Frame | Image:
    """Raises FrameError where there is none: to the engine that is the flush."""
    if frame is None:
        raise FrameError("NoneType is no frame", "give a Frame or a uint8 array, or call flush")
    return frame
