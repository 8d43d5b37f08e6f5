"""A frame's way through a stream: decoded on a strand, flown by the engine, answered from its lane."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from ..engine.session import Job
from ..errors import FrameDroppedError, FramestateError, RunError, SessionError
from ..vision import Frame
from ..wire import Drop, Failure, Message, Picture, Timings
from ..wire.kinds import write
from .answers import Data, Pictures, as_data, message_of
from .entry import Entry
from .flow import KEPT_BYTES, at_server
from .logs import logger
from .metrics import Metrics
from .outbox import Outbox
from .pictures import Decoder
from .traces import Frames
from .watch import Watch


@dataclass(eq=False)
class Shot:
    """A frame, or the flush, from the mailbox to its answer.

    Attributes:
        index: of the frame; of the last one, for the flush.
        received: monotonic seconds.
        dropped: frames that were dropped before it.
        sent: what was sent of its answer, unless it is too much to be kept.
        parts: how many of them are pictures or tensors.
        job: the engine's, until it is answered.
    """

    index: int
    received: float
    dropped: int = 0
    ended: bool = False
    decode_s: float = 0.0
    sent: list[Data] = field(default_factory=list)
    sent_bytes: int = 0
    parts: int = 0
    job: Future[Job] = field(default_factory=Future)


class Shots:
    """The frames of one session that are on their way for one peer.

    Attributes:
        left: the peer is gone; what has no answer is taken back.
    """

    def __init__(
        self,
        decoder: Decoder,
        outbox: Outbox,
        metrics: Metrics,
        pictures: Pictures,
        watch: Watch,
        traces: Frames,
    ) -> None:
        self._watch, self._traces = watch, traces
        self._decoder, self._outbox = decoder, outbox
        self._metrics, self._pictures = metrics, pictures
        self._strand = decoder.strand()
        self._landed_one = asyncio.Event()
        self.flying = 0
        self.left = False
        self._lock = threading.Lock()
        self._owed = 0  # frames that were dropped, of which no answer has told yet

    def send(self, entry: Entry, shot: Shot, picture: Picture | None) -> None:
        """Sends a frame on its way; the flush, where there is none."""
        self.flying += 1
        entry.in_flight += 1
        entry.used_at = time.monotonic()
        if picture is None:
            self._post(entry, shot, None)
        else:
            self._strand.add(partial(self._enter, entry, shot, picture))

    def say(self, entry: Entry, index: int, message: Message) -> None:
        """Answers a frame that never was on its way."""
        data = as_data(message)
        entry.sent.add(index, [data])
        self._outbox.post([data])

    async def settle(self, entry: Entry) -> None:
        """Takes back what has no answer, and waits until all that has one is noted."""
        decoded: Future[None] = Future()
        self._strand.add(lambda: decoded.set_result(None))
        await asyncio.wrap_future(decoded)
        with contextlib.suppress(FramestateError):
            await asyncio.wrap_future(entry.session.recall_nowait())
        await self.fewer_than(1)

    def _enter(self, entry: Entry, shot: Shot, picture: Picture) -> None:
        """Decodes a frame and hands it to the engine. Runs on the strand."""
        try:
            if self.left:
                raise SessionError("the connection has ended", "send it again")
            frame, shot.decode_s = self._decoder.decoded(picture)
            entry.check_number(frame)
            self._pictures.remember(frame, picture)
        except Exception as error:
            self._refused(entry, shot, error)
        else:
            self._post(entry, shot, frame)

    def _post(self, entry: Entry, shot: Shot, frame: Frame | None) -> None:
        try:
            job = entry.session.post(frame, partial(self._part, entry, shot))
        except Exception as error:
            self._refused(entry, shot, error)
        else:
            shot.job.set_result(job)
            job.future.add_done_callback(partial(self._landed, entry, shot))

    def _part(self, entry: Entry, shot: Shot, piece: Any) -> bool:
        """A picture of the answer, on a lane: sent at once; False where the peer has to catch up first."""
        if self._outbox.closed:
            return False
        self._add(shot, as_data(self._pictures.of(piece)))
        if not self._outbox.is_full:
            return True
        shot.job.add_done_callback(
            lambda job: self._outbox.when_room(lambda: entry.session.resume(job.result()))
        )
        return False

    def _landed(self, entry: Entry, shot: Shot, future: Future[Any]) -> None:
        """The engine has answered, on a lane."""
        shot.job = Future()  # the job knows the shot: each would hold the other, and the frame with them
        if not future.cancelled() and (failed := future.exception()) is not None:
            self._refused(entry, shot, failed)
            return
        try:
            answer = future.result()
            written = write(answer)
            for part in self._pictures.parts(written, shot.index, entry.tick):
                self._add(shot, part)
            timings = at_server(getattr(answer, "timings", Timings()), shot.received, shot.decode_s)
            with self._lock:
                dropped, self._owed = shot.dropped + self._owed, 0
            data: Data | None = message_of(
                answer, written, shot.index, shot.parts, dropped, timings, shot.ended
            )
            if answer is None and shot.ended:
                data = None
        except BaseException as error:
            self._refused(entry, shot, error)
            return
        self._watch.answered(entry.id, entry.model, answer)
        self._traces.frame(entry.id, entry.model, timings)
        self._close(entry, shot, data, partial(self._metrics.frame, entry.model, timings))

    def _refused(self, entry: Entry, shot: Shot, error: BaseException) -> None:
        """A frame ends in an error, on any thread. One that was taken back is no frame any more."""
        if isinstance(error, FrameDroppedError):
            message: Message = Drop(shot.index, str(entry.session.options.policy))
        else:
            if not isinstance(error, FramestateError):
                logger().error("answer failed", extra={"session": entry.id}, exc_info=error)
                error = RunError("the answer could not be made", "the server's log says why")
            message = Failure.of(error, index=shot.index)
        count = partial(self._metrics.failed, entry.model, error, str(entry.session.options.policy))
        taken_back = self.left and isinstance(error, SessionError)
        self._close(entry, shot, as_data(message), None if taken_back else count, shot.dropped)

    def _close(
        self, entry: Entry, shot: Shot, data: Data | None, count: Callable[[], None] | None, owed: int = 0
    ) -> None:
        """The last message of a frame; ``count`` is None where it counts for nothing."""
        if data is not None and count is not None and not shot.ended:
            if shot.sent_bytes <= KEPT_BYTES:
                entry.sent.add(shot.index, [*shot.sent, data])
            else:
                entry.sent.since = shot.index + 1

        with self._lock:  # before the answer of the frame that it made room for
            self._owed += owed

        def done() -> None:
            self.flying -= 1
            entry.in_flight -= 1
            entry.used_at = time.monotonic()
            self._landed_one.set()
            if count is not None and not shot.ended:
                count()

        self._outbox.post([] if data is None else [data], done)

    def _add(self, shot: Shot, data: Data) -> None:
        """A part of an answer: sent, and kept for a while."""
        shot.parts += 1
        shot.sent_bytes += len(data)
        if shot.sent_bytes <= KEPT_BYTES:
            shot.sent.append(data)
        else:
            shot.sent.clear()
        self._outbox.post([data])

    async def fewer_than(self, count: int) -> None:
        """Waits until so few are on their way."""
        while self.flying >= count:
            self._landed_one.clear()
            await self._landed_one.wait()
