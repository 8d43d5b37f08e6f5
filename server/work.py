"""What a stream does with its session, whatever its task: frames in, answers out, in order.

A frame waits in the mailbox as it came. It is decoded when the session has room for it, handed to the engine
by the thread that decoded it, and answered by the lane that flew it; the event loop only minds the socket.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import weakref
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from ..engine.session import Job
from ..errors import (
    FrameDroppedError,
    FramestateError,
    RunError,
    SessionBusyError,
    SessionError,
    WireError,
)
from ..vision import Frame, Image
from ..wire import (
    VERSION,
    Ack,
    Answer,
    Drop,
    Failure,
    Hello,
    Limits,
    Message,
    Open,
    Picture,
    Timings,
    Welcome,
)
from ..wire.kinds import packed, write
from .entry import Connection, Entry
from .flow import KEPT_BYTES, Arrived, Mailbox, at_server
from .hub import Hub
from .logs import logger
from .outbox import Data, Outbox
from .outbox import encoded as encoded_message
from .pictures import Decoder, encoded

WINDOW = 2
"""Frames of a session on their way through decoder and engine: one is made ready while another flies."""
GIVEN = 3
"""Frames that a session may still hand back."""


@dataclass(eq=False)
class Shot:
    """A frame, or the flush, from the mailbox to its answer.

    Attributes:
        index: of the frame; of the last one, for the flush.
        received: monotonic seconds.
        dropped: frames that were dropped before it.
        sent: what was sent of its answer, unless it is too much to be kept.
        parts: how many of them are pictures or tensors.
        job: the engine's.
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


class Work:
    """One stream's session: taken up if it is open, or opened by ``open``. Made on the event loop.

    Args:
        connection: what the hub tells when the session ends.
        hello: what the peer wants.
    """

    def __init__(
        self, hub: Hub, decoder: Decoder, outbox: Outbox, connection: Connection, hello: Hello
    ) -> None:
        self._hub, self._decoder, self._outbox = hub, decoder, outbox
        self._connection, self._hello = connection, hello
        self._strand = decoder.strand()
        self._mailbox = Mailbox()
        self._model = ""
        self._key = ""
        self._entry: Entry | None = None
        self._opening: Open | None = None
        self._given: list[tuple[weakref.ref[Image], Picture]] = []
        self._flying = 0
        self._owed = 0  # frames that were dropped, of which no answer has told yet
        self._landed_one = asyncio.Event()
        self._left = False

    # Coming and going

    async def welcome(self, key: str, limits: Limits) -> Welcome:
        """Takes up the session of this id if there is one, and says how it stands.

        Raises:
            UnknownModelError: there is no such model, or none for the task.
            SessionBusyError: somebody is connected to the session, or it is of another model.
        """
        hub, hello, self._key = self._hub, self._hello, key
        entry, last, lost = hub.find(key), None, 0
        if entry is None:
            self._model, engine = hub.engine(hello.model, hello.task)
        else:
            if hello.model not in (None, entry.model) or hello.task not in (None, hub.task(entry).name):
                raise SessionBusyError(f"session {key!r} is one of {entry.model}", "use another id")
            hub.attach(entry, self._connection)
            self._take(entry)
            if entry.settling is not None:
                await asyncio.wait([entry.settling])
            self._model, engine = entry.model, hub.engines[entry.model]
            last = entry.last_index
        if hello.last_index is not None:
            lost = max(0, hello.last_index - (-1 if last is None else last))
        return Welcome(
            version=VERSION,
            session=key,
            task=engine.task.name,
            model=self._model,
            runtime=f"{engine.runtime.name} on {engine.runtime.device}",
            policy=self._mailbox.policy,
            limits=limits,
            opens_on_frame=engine.task.opens_on_frame,
            resumed=entry is not None,
            last_index=last,
            frames_lost=lost,
            answers_from=entry.sent.since if entry is not None else None,
        )

    def repeat(self) -> None:
        """Sends again what the peer says it lacks; after ``welcome``."""
        if self._entry is not None and self._hello.last_index is not None:
            self._outbox.post(self._entry.sent.after(self._hello.last_index))

    def leave(self) -> None:
        """The connection ends. Frames without an answer are taken back, for whoever takes the session up."""
        self._left = True
        self._mailbox.end()
        entry, self._entry = self._entry, None
        if entry is None:
            return
        if self._flying:
            entry.settling = asyncio.create_task(self._settle(entry), name="settle")
        self._hub.detach(entry, self._connection)

    async def _settle(self, entry: Entry) -> None:
        """Takes back what has no answer, and waits until all that has one is noted."""
        decoded: Future[None] = Future()
        self._strand.add(lambda: decoded.set_result(None))
        await asyncio.wrap_future(decoded)
        with contextlib.suppress(FramestateError):
            await asyncio.wrap_future(entry.session.recall_nowait())
        await self._fewer_than(1)

    def close(self) -> None:
        """The peer said ``bye``: the session ends."""
        if self._entry is not None:
            entry, self._entry = self._entry, None
            entry.connection = None
            self._hub.end(entry, "bye")

    # What the peer sends, in order

    async def hear(self, content: Picture | Message, received: float) -> None:
        """A frame, or ``open``. Raises what the peer is told of it; may wait for room."""
        if isinstance(content, Open):
            await self._open(content)
        elif not isinstance(content, Picture):
            raise WireError(f"{content.type!r} means nothing here", "send open, pictures, or bye")
        elif content.kind != "frame":
            raise WireError(f"a picture of kind {content.kind!r} came", "send kind 'frame'")
        elif self._entry is None:
            await self._begin(content)
        else:
            model, policy = self._entry.model, self._mailbox.policy
            dropped = await self._mailbox.put(Arrived(content, received))
            if dropped is not None:
                self._hub.metrics.dropped(model, policy)
                self._say(self._entry, dropped.index, Drop(dropped.index, policy))

    def end(self) -> None:
        """Nothing more will come."""
        self._mailbox.end()

    async def run(self) -> None:
        """Sends frames on their way, until nothing more comes and all is answered."""
        while True:
            await self._fewer_than(WINDOW)
            taken = await self._mailbox.take()
            if taken is None:
                return await self._fewer_than(1)
            item, dropped = taken
            entry = self._entry
            assert entry is not None, "frames come after the session is open"
            shot = Shot(item.picture.index, item.received, dropped + self._owed)
            self._owed = 0
            self._launch(entry)
            self._strand.add(partial(self._enter, entry, shot, item.picture))

    async def flush(self) -> None:
        """Sends what the session still holds, after ``bye``."""
        entry = self._entry
        if entry is None or entry.session.closed or entry.session.standing.ended:
            return
        shot = Shot(entry.last_index or 0, time.monotonic(), ended=True)
        self._launch(entry)
        self._post(entry, shot, None)
        await self._fewer_than(1)

    async def _open(self, opening: Open) -> None:
        if self._entry is not None:
            raise SessionError(f"session {self._entry.id!r} is open already", "send frames, or bye")
        if self._hub.engines[self._model].task.opens_on_frame:
            self._opening = opening
        else:
            await self._opened(opening, None)
            self._outbox.send(Ack())

    async def _begin(self, picture: Picture) -> None:
        """Opens the session on the first frame."""
        if self._opening is None:
            raise SessionError("there is no session yet", "send open, then frames")
        frame, _ = await self._decoder.frame(picture)
        await self._opened(self._opening, frame)
        self._opening = None
        self._outbox.send(Ack(picture.index))

    async def _opened(self, opening: Open, frame: Frame | None) -> None:
        queue: dict[str, Any] = {
            "policy": opening.policy,
            "deadline_ms": opening.deadline_ms,
            "queue": opening.queue,
        }
        entry = await self._hub.open(
            frame,
            model=self._model,
            key=self._key,
            options=opening.options,
            **{name: value for name, value in queue.items() if value is not None},
        )
        self._hub.attach(entry, self._connection)
        self._take(entry)

    def _take(self, entry: Entry) -> None:
        """From now on frames go to this session."""
        self._entry = entry
        self._mailbox.obey(entry.session.options)

    # A frame's way

    def _launch(self, entry: Entry) -> None:
        self._flying += 1
        entry.in_flight += 1
        entry.used_at = time.monotonic()

    def _enter(self, entry: Entry, shot: Shot, picture: Picture) -> None:
        """Decodes a frame and hands it to the engine. Runs on the strand."""
        try:
            if self._left:
                raise SessionError("the connection has ended", "send it again")
            frame, shot.decode_s = self._decoder.decoded(picture)
            entry.check_number(frame)
            alive = [pair for pair in self._given if pair[0]() is not None]
            self._given = [*alive[1 - GIVEN :], (weakref.ref(frame.image), picture)]
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
        self._add(shot, encoded_message(self._picture(piece)))
        if not self._outbox.is_full:
            return True
        shot.job.add_done_callback(
            lambda job: self._outbox.when_room(lambda: entry.session.resume(job.result()))
        )
        return False

    def _landed(self, entry: Entry, shot: Shot, future: Future[Any]) -> None:
        """The engine has answered, on a lane."""
        try:
            answer = future.result()
            written = write(answer)
            for frame in written.pictures:
                self._add(shot, encoded_message(self._picture(frame)))
            for number, tensor in enumerate(written.tensors):
                part = Picture("tensor", number, 0, entry.tick, "npy", packed(tensor))
                self._add(shot, encoded_message(part))
            timings = at_server(getattr(answer, "timings", Timings()), shot.received, shot.decode_s)
            message = Answer(
                shot.index,
                written.kind,
                written.values,
                shot.parts,
                getattr(answer, "dropped", 0) + shot.dropped,
                timings,
                shot.ended,
            )
            data = None if answer is None and shot.ended else encoded_message(message)
        except BaseException as error:
            self._refused(entry, shot, error)
            return
        self._close(entry, shot, data, partial(self._hub.metrics.frame, entry.model, timings))

    def _refused(self, entry: Entry, shot: Shot, error: BaseException) -> None:
        """A frame ends in an error, on any thread. One that was taken back is no frame any more."""
        if isinstance(error, FrameDroppedError):
            message: Message = Drop(shot.index, self._mailbox.policy)
        else:
            if not isinstance(error, FramestateError):
                logger().error("answer failed", extra={"session": entry.id}, exc_info=error)
                error = RunError("the answer could not be made", "the server's log says why")
            message = Failure.of(error, index=shot.index)
        count = partial(self._hub.metrics.failed, entry.model, error, self._mailbox.policy)
        taken_back = self._left and isinstance(error, SessionError)
        self._close(entry, shot, encoded_message(message), None if taken_back else count, shot.dropped)

    def _close(
        self, entry: Entry, shot: Shot, data: Data | None, count: Callable[[], None] | None, owed: int = 0
    ) -> None:
        """The last message of a frame; ``count`` is None where it counts for nothing."""
        if data is not None and count is not None and not shot.ended:
            if shot.sent_bytes <= KEPT_BYTES:
                entry.sent.add(shot.index, [*shot.sent, data])
            else:
                entry.sent.since = shot.index + 1

        def done() -> None:
            self._flying -= 1
            self._owed += owed
            entry.in_flight -= 1
            entry.used_at = time.monotonic()
            self._landed_one.set()
            if count is not None and not shot.ended:
                count()

        self._outbox.post([] if data is None else [data], done)

    def _say(self, entry: Entry, index: int, message: Message) -> None:
        data = encoded_message(message)
        entry.sent.add(index, [data])
        self._outbox.post([data])

    def _add(self, shot: Shot, data: Data) -> None:
        """A part of an answer: sent, and kept for a while."""
        shot.parts += 1
        shot.sent_bytes += len(data)
        if shot.sent_bytes <= KEPT_BYTES:
            shot.sent.append(data)
        else:
            shot.sent.clear()
        self._outbox.post([data])

    def _picture(self, frame: Any) -> Picture:
        """A frame of an answer as a picture; one that the peer sent goes back as it came, bit for bit."""
        if not isinstance(frame, Frame):
            raise WireError(f"a {type(frame).__name__} cannot be sent as a picture", "hand over frames")
        sent = next((picture for image, picture in self._given if image() is frame.image), None)
        if sent is not None:
            return replace(sent, kind="made", index=frame.index, pts=frame.pts, time_base=frame.time_base)
        encoding, raw = self._hello.encoding, self._hello.encoding == "rgb"
        return Picture(
            "made", frame.index, frame.pts, frame.time_base, encoding,
            encoded(frame.image, encoding, self._hello.quality),
            width=frame.width if raw else 0, height=frame.height if raw else 0,
        )  # fmt: skip

    async def _fewer_than(self, count: int) -> None:
        while self._flying >= count:
            self._landed_one.clear()
            await self._landed_one.wait()
