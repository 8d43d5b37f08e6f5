"""`/v1/sources`: live sources that the server reads: look, choose a target, watch."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Annotated

from fastapi import APIRouter, Query, Response, WebSocket, WebSocketDisconnect

from .. import wire
from ..errors import FramestateError, TooSlowError, UnknownItemError, WireError
from .documents import described, problems
from .hub import SOURCE_SESSION, Hub
from .outbox import Outbox
from .pictures import Decoder
from .problems import close_code_of
from .schemas import SessionAnswer, SourceAnswer, SourcesAnswer, session_answer
from .sessions_api import Box, Options, options_in
from .source import Source
from .source_names import SourceName
from .sources import Sources
from .stream import GOING_AWAY, GONE, accept, limits


def sources_api(hub: Hub, sources: Sources, decoder: Decoder) -> APIRouter:
    """The routes, over the sources."""
    api = APIRouter(tags=["sources"])

    @api.get("/v1/sources", responses=problems())
    async def list_sources() -> SourcesAnswer:
        """The live sources that this server reads."""
        return SourcesAnswer(sources=[answer(source) for source in sources.by_name.values()])

    @api.get("/v1/sources/{name}", responses=problems(404, 422))
    async def read_source(name: SourceName) -> SourceAnswer:
        """How a source is."""
        return answer(sources.get(name))

    @api.get(
        "/v1/sources/{name}/frame",
        response_class=Response,
        responses=described(
            200, "The frame; its number is in x-frame-index, seconds since it came in Age.", "image/jpeg"
        )
        | problems(404, 422, 503),
    )
    async def look(name: SourceName) -> Response:
        """The newest frame, as JPEG, unless it is too old. It is kept for a while, to choose a target on."""
        source = sources.get(name)
        frame, age = source.pin(), source.reader.age or 0.0
        jpeg = await decoder.encode(frame.image, "jpeg", 90)
        headers = {"x-frame-index": str(frame.index), "age": str(round(age)), "cache-control": "no-store"}
        return Response(jpeg, media_type="image/jpeg", headers=headers)

    @api.post("/v1/sources/{name}/target", status_code=201, responses=problems(404, 409, 422, 503))
    async def choose_target(
        name: SourceName,
        box: Box = None,
        options: Options = "{}",
        index: Annotated[
            int | None,
            Query(ge=0, le=wire.MAX_INTEGER, description="Of the frame the box is in; the newest without."),
        ] = None,
        model: Annotated[str | None, Query(max_length=200, description="Without it, the first one.")] = None,
    ) -> SessionAnswer:
        """Hand its frames to a model from now on, in place of another; a tracker follows the box."""
        hub.check_running()
        entry = await sources.get(name).targets.choose(model, options_in(options, box), index)
        return session_answer(entry, hub)

    @api.delete(
        "/v1/sources/{name}/target", status_code=204, responses=problems(404, 422), response_class=Response
    )
    async def drop_target(name: SourceName) -> Response:
        """Let the target go: end the session."""
        entry = sources.get(name).entry
        if entry is None:
            raise UnknownItemError(f"source {name!r} follows nothing", "choose a target first")
        hub.end(entry, "the target was let go")
        return Response(status_code=204)

    @api.websocket("/v1/sources/{name}/stream")
    async def watch(socket: WebSocket, name: str) -> None:
        await accept(socket)
        await view(hub, sources, socket, name)

    @api.websocket("/v1/sessions/source-{name}/stream")
    async def watch_session(socket: WebSocket, name: str) -> None:
        await accept(socket)
        await view(hub, sources, socket, name)

    return api


async def view(hub: Hub, sources: Sources, socket: WebSocket, name: str) -> None:
    """Shows a source to one viewer until it has seen enough."""
    outbox = Outbox(socket, hub.settings.send_s)
    code, reason, source = 1000, "done", None
    try:
        await greeted(hub, socket)
        source = sources.get(name)
        outbox.send(welcome(hub, source))
        source.viewers.add(outbox)
        if await stopped(hub, socket, outbox):
            outbox.send(wire.Bye("the server stops", resumable=True))
            code, reason = GOING_AWAY, "the server stops"
        else:
            outbox.send(wire.Bye("done"))
    except WebSocketDisconnect:
        code = 0
    except FramestateError as error:
        outbox.send(wire.Failure.of(error, closing=True))
        code, reason = close_code_of(error), type(error).__name__
    finally:
        if source is not None:
            source.viewers.discard(outbox)
        hub.metrics.closed(code or GONE)
        await outbox.close(now=not code, seconds=hub.drain.left / 4)
        with contextlib.suppress(RuntimeError, WebSocketDisconnect):
            await socket.close(code or 1000, reason)


async def greeted(hub: Hub, socket: WebSocket) -> None:
    """The viewer's ``hello``. Raises WireError or TooSlowError without one."""
    try:
        async with asyncio.timeout(hub.settings.header_s):
            hello = await heard(socket)
    except TimeoutError:
        raise TooSlowError("no hello came", "send it first of all") from None
    if not isinstance(hello, wire.Hello) or hello.version != wire.VERSION:
        raise WireError("the first message is no hello of this version", f"speak version {wire.VERSION}")
    hub.check_running()


async def stopped(hub: Hub, socket: WebSocket, outbox: Outbox) -> bool:
    """Waits for the end: True when the server stops, False when the viewer says ``bye``."""
    listening = asyncio.create_task(_until_bye(socket))
    stopping = asyncio.create_task(hub.drain.started.wait())
    tasks: list[asyncio.Future[object]] = [listening, stopping, outbox.failed]  # type: ignore[list-item]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if outbox.failed.done():
            raise outbox.failed.result()
        if listening.done():
            listening.result()
        return stopping.done()
    finally:
        for task in (listening, stopping):
            task.cancel()
        await asyncio.gather(listening, stopping, return_exceptions=True)


async def _until_bye(socket: WebSocket) -> None:
    while not isinstance(await heard(socket), wire.Bye):
        raise WireError("a viewer has nothing to send but bye", "open a session of your own for that")


async def heard(socket: WebSocket) -> wire.Message | wire.Picture:
    """One message of a viewer. Raises WireError, WebSocketDisconnect."""
    event = await socket.receive()
    if event["type"] != "websocket.receive":
        raise WebSocketDisconnect(event.get("code", 1006))
    data = event.get("bytes")
    return wire.decode_message(event.get("text") or "") if data is None else wire.decode_picture(data)


def welcome(hub: Hub, source: Source) -> wire.Welcome:
    """What a viewer is greeted with."""
    entry = source.entry
    name, engine = hub.engine(entry.model if entry else None)
    return wire.Welcome(
        version=wire.VERSION,
        session=SOURCE_SESSION + source.name,
        task=engine.task.name,
        model=name,
        runtime=f"{engine.runtime.name} on {engine.runtime.device}",
        policy="DROP_OLDEST",
        limits=limits(hub.settings),
        opens_on_frame=engine.task.opens_on_frame,
        resumed=entry is not None,
        last_index=entry.last_index if entry else None,
    )


def answer(source: Source) -> SourceAnswer:
    """A source as REST tells it."""
    reader = source.reader
    frame, age = source.last, reader.age
    return SourceAnswer(
        name=source.name,
        state=reader.state,
        width=frame.width if frame else None,
        height=frame.height if frame else None,
        frames=reader.frames,
        fps=round(reader.fps, 2),
        age_seconds=None if age is None else round(age, 3),
        reconnects=max(0, reader.connections - 1),
        viewers=len(source.viewers),
        session=source.key if source.entry else None,
        targets=None if source.targets.scene is None else len(source.targets.all()),
        problem=reader.problem,
    )
