"""Tracking over a stream: frames decoded, submitted and answered in order, several under way at once."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from ..client import wire
from ..engine import Track
from ..errors import FrameDroppedError, FramestateError, SessionError, WireError
from ..vision import Frame
from .entry import Entry
from .flow import Arrived

if TYPE_CHECKING:
    from .stream import Stream

DEFAULT_POLICY = "DROP_OLDEST"


class TrackingWork:
    """One stream's session: it is taken up if it is open, or opened by ``open`` and the next picture."""

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        self._hub = stream.hub
        self._model: str | None = None
        self._entry: Entry | None = None
        self._open: wire.Open | None = None
        self._under_way: set[asyncio.Task[None]] = set()
        self._room = asyncio.Semaphore(1)
        self._dropped = 0

    def welcome(self, hello: wire.Hello) -> wire.Welcome:
        """Takes up the session of this id, if there is one, and says how it stands."""
        hub, stream = self._hub, self._stream
        self._model = hub.engine(hello.model, "tracking")[0]
        entry = hub.find(stream.key)
        policy, last, lost = DEFAULT_POLICY, None, 0
        if entry is not None:
            hub.attach(entry, stream)
            self._take(entry)
            self._model = entry.model
            policy, last = str(entry.session.options.policy), entry.session.clock.index
        if hello.last_index is not None:
            lost = max(0, hello.last_index - (-1 if last is None else last))
        engine = hub.engines[self._model]
        return wire.Welcome(
            version=wire.VERSION,
            session=stream.key,
            task="tracking",
            model=self._model,
            runtime=f"{engine.runtime.name} on {engine.runtime.device}",
            policy=policy,
            limits=stream.limits(),
            resumed=entry is not None,
            last_index=last,
            frames_lost=lost,
        )

    async def handle(self, item: Arrived) -> None:
        """A frame, or ``open``."""
        content = item.content
        if isinstance(content, wire.Open):
            if self._entry is not None:
                raise SessionError(f"session {self._entry.id!r} is open already", "send frames, or bye")
            self._open = content
        elif not isinstance(content, wire.Picture):
            raise WireError(f"{content.type!r} means nothing here", "send open, pictures, or bye")
        elif content.kind != "frame":
            raise WireError(f"a picture of kind {content.kind!r} came", "send kind 'frame'")
        elif self._entry is None:
            await self._begin(content)
        else:
            await self._frame(self._entry, content, item.received)

    async def finish(self) -> None:
        """Waits for all answers."""
        while self._under_way:
            await asyncio.wait(self._under_way)

    def close(self) -> None:
        """Ends the session."""
        if self._entry is not None:
            entry, self._entry = self._entry, None
            entry.connection = None
            self._hub.end(entry, "bye")

    def leave(self) -> None:
        """Leaves the session to whoever comes back for it."""
        if self._entry is not None:
            self._hub.detach(self._entry, self._stream)

    def count_drop(self) -> None:
        """A frame was dropped before it reached the session."""
        self._dropped += 1
        if self._entry is not None:
            self._hub.metrics.dropped(self._entry.model, self._stream.mailbox.policy)

    async def _begin(self, picture: wire.Picture) -> None:
        """Opens the session on the first frame."""
        opening = self._open
        if opening is None:
            raise SessionError("there is no session yet", "send open, then the frame that its box is in")
        frame, _ = await self._decoded(picture)
        given = {"deadline_ms": opening.deadline_ms, "queue": opening.queue}
        options: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
        entry = await self._hub.open(
            frame,
            opening.box,
            model=self._model,
            key=self._stream.key,
            policy=opening.policy or DEFAULT_POLICY,
            **options,
        )
        self._open = None
        self._hub.attach(entry, self._stream)
        self._take(entry)
        self._stream.outbox.send(wire.Ack(picture.index))

    def _take(self, entry: Entry) -> None:
        """From now on frames go to this session."""
        self._entry = entry
        options = entry.session.options
        self._stream.mailbox.policy = str(options.policy)
        self._room = asyncio.Semaphore(options.queue + 1)

    async def _frame(self, entry: Entry, picture: wire.Picture, received: float) -> None:
        """Submits a frame; its answer is sent when it is there, and the next one can be decoded meanwhile."""
        frame, decode = await self._decoded(picture)
        waits = str(entry.session.options.policy) == "WAIT"
        if waits:
            await self._room.acquire()
        task = asyncio.create_task(self._answer(entry, frame, received, decode, waits))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _answer(self, entry: Entry, frame: Frame, received: float, decode: float, waits: bool) -> None:
        send = self._stream.outbox.send
        try:
            track = await self._hub.submit(entry, frame, received, decode)
        except FrameDroppedError:
            send(wire.Drop(frame.index, str(entry.session.options.policy)))
        except FramestateError as error:
            send(wire.Failure.of(error, index=frame.index))
        else:
            dropped, self._dropped = self._dropped, 0
            send(track_message(track, dropped, decode, time.monotonic() - received))
        finally:
            if waits:
                self._room.release()

    async def _decoded(self, picture: wire.Picture) -> tuple[Frame, float]:
        image, seconds = await self._stream.decoder.decode(
            picture.payload, picture.encoding, picture.width, picture.height
        )
        return Frame(image, picture.pts, picture.time_base, picture.index), seconds


def track_message(track: Track, dropped: int, decode_s: float, total_s: float) -> wire.TrackMessage:
    """A track as the wire has it; ``dropped`` counts frames that never reached the engine."""
    timings = track.timings
    return wire.TrackMessage(
        index=track.frame_index,
        box=track.box.xywh,
        score=min(1.0, max(0.0, track.score)),
        status=track.status,
        dropped=track.dropped + dropped,
        timings=wire.Timings(
            decode_ms=1e3 * decode_s,
            queue_ms=max(0.0, timings.queue_ms),
            prepare_ms=timings.prepare_ms,
            model_ms=timings.model_ms,
            finish_ms=timings.finish_ms,
            total_ms=1e3 * total_s,
        ),
    )
