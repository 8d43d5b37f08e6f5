"""``WS /v1/sessions/{id}/stream``: a peer's frames into a session, its answers back, as docs/wire.md says."""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from typing import Any

from fastapi import APIRouter, WebSocket, WebSocketDisconnect

from .. import wire
from ..engine.session_options import check_id
from ..errors import (
    FramestateError,
    RunError,
    TooManyError,
    TooSlowError,
    WireError,
)
from .access import chosen_protocol
from .flow import Rate
from .hub import NEW, Hub
from .logs import logger
from .outbox import Outbox
from .pictures import Decoder
from .problems import close_code_of
from .settings import Settings
from .work import Work

GONE = 1006  # without a word
GOING_AWAY = 1012  # a service restart, in WebSocket's own words


def streams(hub: Hub, decoder: Decoder) -> APIRouter:
    """The route, over a hub."""
    api = APIRouter()

    @api.websocket("/v1/sessions/{session_id}/stream")
    async def stream(socket: WebSocket, session_id: str) -> None:
        await accept(socket)
        await Stream(hub, decoder, socket, session_id).run()

    return api


async def accept(socket: WebSocket) -> None:
    """Agrees to a WebSocket, in our protocol where the peer offers it."""
    await socket.accept(subprotocol=chosen_protocol(socket.headers))


class Stream:
    """One connection, from ``hello`` to ``bye``."""

    def __init__(self, hub: Hub, decoder: Decoder, socket: WebSocket, key: str) -> None:
        self.hub = hub
        self.key = key
        self.outbox = Outbox(socket, hub.settings.send_s)
        self._decoder = decoder
        self._socket = socket
        self._rate = Rate(hub.settings.max_frames_per_second)
        self._work: Work | None = None
        self._ended: asyncio.Future[FramestateError] = asyncio.get_running_loop().create_future()
        self._bye = False
        self._parting = asyncio.Event()
        self._quiet = asyncio.Event()
        self._parted = asyncio.Event()

    def end(self, error: FramestateError) -> None:
        """Ends the connection from outside, for instance because its session was deleted."""
        if not self._ended.done():
            self._ended.set_result(error)

    async def quiet(self) -> None:
        """Takes nothing in any more; returns when all that came before is answered."""
        self._parting.set()
        await self._quiet.wait()

    def part(self) -> None:
        """After ``quiet``: tells the peer to connect again, and closes."""
        self._parted.set()

    async def run(self) -> None:
        """Serves the connection until one side ends it."""
        code, reason = 1000, "done"
        try:
            await self._hello()
            code, reason = await self._serve()
        except WebSocketDisconnect:
            code = 0
            if self._bye and self._work is not None:
                self._work.close()
        except FramestateError as error:
            self.outbox.send(wire.Failure.of(error, closing=True))
            code, reason = close_code_of(error), type(error).__name__
        except Exception:
            logger().exception("stream failed", extra={"session": self.key})
            failure = RunError("the server failed", "its log says how; connect again")
            self.outbox.send(wire.Failure.of(failure, closing=True))
            code, reason = close_code_of(failure), type(failure).__name__
        finally:
            self._quiet.set()
            if self._work is not None:
                self._work.leave()
            await self.outbox.close(now=not code, seconds=self.hub.drain.left / 4)
            with contextlib.suppress(RuntimeError, WebSocketDisconnect):
                await self._socket.close(code or 1000, reason)
            self.hub.metrics.closed(code or GONE)
            logger().info("stream closed", extra={"session": self.key, "code": code, "reason": reason})

    async def _hello(self) -> None:
        """The first message of each side."""
        limit = self.hub.settings.header_s
        try:
            async with asyncio.timeout(limit):
                content = await self._receive()
        except TimeoutError:
            raise TooSlowError(f"no hello came within {limit:g} s", "send it first of all") from None
        if not isinstance(content, wire.Hello):
            raise WireError(f"the first message is {type(content).__name__}", "send hello first")
        if content.version != wire.VERSION:
            raise WireError(f"the client speaks version {content.version}", f"speak version {wire.VERSION}")
        self.hub.check_running()
        self.key = uuid.uuid4().hex if self.key == NEW else check_id(self.key)
        self.hub.on_hello(self.key)
        self._work = Work(self.hub, self._decoder, self.outbox, self, content)
        welcome = await self._work.welcome(self.key, limits(self.hub.settings))
        self.outbox.send(welcome)
        self._work.repeat()
        logger().info("stream open", extra={"session": self.key, "task": welcome.task})

    async def _serve(self) -> tuple[int, str]:
        """Everything after that; returns the code and reason to close with."""
        assert self._work is not None
        reader = asyncio.create_task(self._read(self._work), name="read")
        pump = asyncio.create_task(self._pump(self._work), name="pump")
        stopping = asyncio.create_task(self.hub.drain.started.wait(), name="stopping")
        parting = asyncio.create_task(self._parting.wait(), name="parting")
        own: set[asyncio.Future[Any]] = {reader, pump, stopping, parting}
        tasks: set[asyncio.Future[Any]] = own | {self._ended, self.outbox.failed, self.outbox.task}
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for ended in (self._ended, self.outbox.failed):
                if ended.done():
                    raise ended.result()
            if self.outbox.task.done():
                raise WebSocketDisconnect(1006)  # the reader may wait for room, and not know it yet
            if reader.done():
                reader.result()  # raises what ended it: the peer went away, or was silent, or sent too much
            if parting.done() and not pump.done():
                return await self._part(reader, pump)
            if stopping.done() and not pump.done():
                return await self._stop(reader, pump)
            pump.result()
            self.outbox.send(wire.Bye("done"))
            return 1000, "done"
        finally:
            for task in own:
                task.cancel()
            await asyncio.gather(*own, return_exceptions=True)

    async def _stop(self, reader: asyncio.Task[None], pump: asyncio.Task[None]) -> tuple[int, str]:
        """The server stops: what has arrived is still answered, as far as there is time."""
        await self._quieten(reader, pump)
        self.outbox.send(wire.Bye("the server stops", resumable=self.hub.keeps))
        return GOING_AWAY, "the server stops"

    async def _part(self, reader: asyncio.Task[None], pump: asyncio.Task[None]) -> tuple[int, str]:
        """The session moves: what has arrived is answered here, the rest where it goes on."""
        await self._quieten(reader, pump)
        self._quiet.set()
        await self._parted.wait()
        self.outbox.send(wire.Bye("the session moves", resumable=True))
        return GOING_AWAY, "the session moves"

    async def _quieten(self, reader: asyncio.Task[None], pump: asyncio.Task[None]) -> None:
        assert self._work is not None
        reader.cancel()
        self._work.end()
        over = asyncio.create_task(self.hub.drain.over.wait(), name="drained")
        await asyncio.wait([pump, over], return_when=asyncio.FIRST_COMPLETED)
        over.cancel()

    async def _read(self, work: Work) -> None:
        """Takes in what the peer sends, until it says ``bye`` or goes away."""
        while True:
            content: wire.Picture | wire.Message | None = None
            try:
                async with asyncio.timeout(self.hub.settings.idle_s):
                    content = await self._receive()
            except TimeoutError:
                limit = self.hub.settings.idle_s
                raise TooSlowError(f"nothing came for {limit:g} s", "connect again to go on") from None
            except WireError as error:
                self.outbox.send(wire.Failure.of(error))
            if isinstance(content, wire.Bye):
                self._bye = True
                work.end()
                while True:  # until the pump ends the stream, or the peer goes
                    with contextlib.suppress(WireError):
                        await self._receive()
            if content is not None:
                try:
                    await work.hear(content, time.monotonic())
                except FramestateError as error:
                    index = content.index if isinstance(content, wire.Picture) else None
                    self.outbox.send(wire.Failure.of(error, index=index))

    async def _receive(self) -> wire.Picture | wire.Message | None:
        """One message; None for one that came too fast and was refused.

        Raises:
            WireError: it is not what docs/wire.md says.
            TooManyError: far too many came too fast.
            WebSocketDisconnect: the peer is gone.
        """
        event = await self._socket.receive()
        if event["type"] != "websocket.receive":
            raise WebSocketDisconnect(event.get("code", 1006), event.get("reason"))
        data = event.get("bytes")
        if not self._rate.allows():
            limit = f"more than {self._rate.per_second:g} messages came in a second"
            refused = TooManyError(limit, "send more slowly")
            if self._rate.refused > 10 * self._rate.per_second:
                raise refused
            self.outbox.send(wire.Failure.of(refused, index=_index_of(data)))
            return None
        if data is not None:
            return wire.decode_picture(data)
        return wire.decode_message(event.get("text") or "")

    async def _pump(self, work: Work) -> None:
        """Answers what arrives, until ``bye``."""
        await work.run()
        if self._bye:  # otherwise the session goes on, here or elsewhere
            await work.flush()
            work.close()


def limits(settings: Settings) -> wire.Limits:
    """What this server takes."""
    return wire.Limits(
        message_bytes=settings.max_frame_bytes,
        pixels=settings.max_pixels,
        frames_per_second=settings.max_frames_per_second,
        idle_seconds=settings.grace_s,
    )


def _index_of(data: bytes | None) -> int | None:
    """The index of a picture that is not looked at further."""
    if data is None:
        return None
    try:
        return wire.decode_picture(data).index
    except WireError:
        return None
