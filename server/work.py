"""What a stream does with its session, whatever its task: frames in, answers out, in order.

A frame waits in the mailbox as it came. It is decoded when the session has room for it, handed to the engine
by the thread that decoded it, and answered by the lane that flew it; the event loop only minds the socket.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

from ..errors import (
    FrameError,
    FramestateError,
    SessionBusyError,
    SessionError,
    WireError,
)
from ..vision import Frame
from ..wire import (
    VERSION,
    Ack,
    Correct,
    Corrected,
    Drop,
    Failure,
    Hello,
    Limits,
    Message,
    Open,
    Picture,
    Welcome,
)
from ..wire.kinds import write
from .answers import Pictures
from .entry import Connection, Entry, new_token
from .flow import Arrived, Mailbox
from .hub import Hub
from .outbox import Outbox
from .pictures import Decoder
from .shots import Shot, Shots

WINDOW = 2
"""Frames of a session on their way through decoder and engine: one is made ready while another flies."""


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
        pictures = Pictures(hello.encoding, hello.quality)
        self._shots = Shots(decoder, outbox, hub.metrics, pictures, hub.watch, hub.traces)
        self._mailbox = Mailbox()
        self._model = ""
        self._key = ""
        self._token = new_token()
        self._entry: Entry | None = None
        self._opening: Open | None = None

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
            await hub.take_over(entry, hello.token)
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
            token=self._token if entry is None else entry.token,
        )

    def repeat(self) -> None:
        """Sends again what the peer says it lacks; after ``welcome``."""
        if self._entry is not None and self._hello.last_index is not None:
            self._outbox.post(self._entry.sent.after(self._hello.last_index))

    def leave(self) -> None:
        """The connection ends. Frames without an answer are taken back, for whoever takes the session up."""
        self._shots.left = True
        self._mailbox.end()
        entry, self._entry = self._entry, None
        if entry is None:
            return
        if self._shots.flying:
            entry.settling = asyncio.create_task(self._shots.settle(entry), name="settle")
        self._hub.detach(entry, self._connection)

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
        elif isinstance(content, Correct):
            self._outbox.send(await self._corrected(content))
        elif not isinstance(content, Picture):
            raise WireError(f"{content.type!r} means nothing here", "send open, pictures, correct, or bye")
        elif content.kind != "frame":
            raise WireError(f"a picture of kind {content.kind!r} came", "send kind 'frame'")
        elif self._entry is None:
            await self._begin(content)
        else:
            model, policy = self._entry.model, self._mailbox.policy
            dropped = await self._mailbox.put(Arrived(content, received))
            if dropped is not None:
                self._hub.metrics.dropped(model, policy)
                self._shots.say(self._entry, dropped.index, Drop(dropped.index, policy))

    def end(self) -> None:
        """Nothing more will come."""
        self._mailbox.end()

    async def run(self) -> None:
        """Sends frames on their way, until nothing more comes and all is answered."""
        while True:
            await self._shots.fewer_than(WINDOW)
            taken = await self._mailbox.take()
            if taken is None:
                return await self._shots.fewer_than(1)
            item, dropped = taken
            entry = self._entry
            assert entry is not None, "frames come after the session is open"
            self._shots.send(entry, Shot(item.picture.index, item.received, dropped), item.picture)

    async def flush(self) -> None:
        """Sends what the session still holds, after ``bye``."""
        entry = self._entry
        if entry is None or entry.session.closed or entry.session.standing.ended:
            return
        self._shots.send(entry, Shot(entry.last_index or 0, time.monotonic(), ended=True), None)
        await self._shots.fewer_than(1)

    async def _open(self, opening: Open) -> None:
        if self._entry is not None:
            raise SessionError(f"session {self._entry.id!r} is open already", "send frames, or bye")
        if self._hub.engines[self._model].task.opens_on_frame:
            self._opening = opening
        else:
            await self._opened(opening, None)
            self._outbox.send(Ack())

    async def _corrected(self, told: Correct) -> Corrected:
        """Puts right where the target is, when all that came before is answered."""
        try:
            if self._entry is None:
                raise SessionError("there is no session yet", "send open, then frames")
            while self._shots.flying or not self._mailbox.is_empty:
                await self._shots.fewer_than(1)
                await self._mailbox.emptied()
            entry = self._entry
            if entry is None:
                raise SessionError("the session has ended", "open a new one")
            if told.index not in (None, entry.last_index):
                raise FrameError(
                    f"the box is in frame {told.index}, and the last one is {entry.last_index}",
                    "put a frame right before the next one is sent",
                )
            answer = await asyncio.wrap_future(entry.session.correct_nowait(told.box))
            written = write(answer)
            return Corrected(entry.last_index, written.kind, written.values)
        except FramestateError as error:
            return Corrected(told.index, error=Failure.of(error))

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
        entry.token = self._token
        self._hub.attach(entry, self._connection)
        self._take(entry)

    def _take(self, entry: Entry) -> None:
        """From now on frames go to this session."""
        self._entry = entry
        self._mailbox.obey(entry.session.options)
