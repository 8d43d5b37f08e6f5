"""`create_app`: the server as an ASGI application, over engines that somebody else opened and closes."""

from __future__ import annotations

import asyncio
import time
import warnings
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from http import HTTPStatus
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..engine import Autosave, Engine
from ..engine.autosave import Keeping
from ..engine.scene import can_follow
from ..errors import FramestateError
from .access import Gate, SafeHeaders
from .admin_api import admin_api
from .cors import Cors
from .deliveries import Deliveries
from .detections_api import detections_api
from .documents import complete
from .drain import Saves
from .event_sinks import sinks_of
from .events_api import events_api
from .hub import Hub
from .kept_scenes import KeptScenes
from .keys import required_keys
from .kserve import Versions, kserve_api
from .logs import logger
from .metrics import Metrics
from .pages import pages
from .pictures import Decoder
from .pictures_api import pictures_api
from .problems import problem, problem_of
from .proxies import root_of
from .reload import Reload
from .request_ids import RequestIds
from .revoked import Revoked
from .routes import Routes
from .rtsp_push import Pushes
from .sessions_api import sessions_api
from .settings import Settings
from .source_files import SourceFile, given_sources
from .sources import Sources
from .sources_admin_api import sources_admin_api
from .sources_api import sources_api
from .state_folder import SESSIONS
from .stream import streams
from .targets_api import targets_api
from .traces import Spans, Traces
from .videos import Videos
from .videos_api import videos_api
from .web_rtc import Peers

SUMMARY = "Streaming video inference for models with recurrent state."
DESCRIPTION = """Sessions over REST; live streams are a WebSocket, `/v1/sessions/{id}/stream`, described in
docs/wire.md. Errors are problem details (RFC 9457)."""


Keep = Callable[["Hub", AsyncExitStack], "list[Saves]"]
"""Takes up kept sessions, and keeps them from now on, until the stack ends."""


def create_app(settings: Settings, engines: Mapping[str, Engine], *, keep: Keep | None = None) -> FastAPI:
    """The application.

    Args:
        settings: limits, keys, folders.
        engines: by the name that clients use; the first one is the default. They stay the caller's to close.
        keep: how sessions outlive the process; without it, by files in the state folder.

    Raises:
        OptionError: the settings would make an unsafe server, or a source or folder cannot be used.
    """
    keys = required_keys(settings)
    hub = Hub(settings, engines)
    decoder = Decoder(settings.max_pixels)
    videos = Videos(hub)
    sources = Sources(hub, given_sources(settings))
    traces = None if settings.traces is None else Traces(settings.traces)
    if traces is not None:
        hub.traces = traces
    pushes, peers = Pushes(sources, settings.pushes), Peers(settings.max_peers)
    deliveries = Deliveries(hub.watch.log, sinks_of(settings))
    hub.metrics.read_from(deliveries.readings)
    reload, revoked = Reload(), Revoked()
    if keys is not None:
        reload.add("keys", lambda: revoked.check(keys.reload()))
    if settings.source_file is not None:
        reload.add("sources", SourceFile(settings.source_file, sources.replace))

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            hub.state.open()
            stack.callback(hub.state.close)
            stack.callback(decoder.close)
            stack.callback(hub.scenes.close)
            stack.callback(sources.close)
            if traces is not None:
                stack.push_async_callback(traces.close)
            hub.watch.begin()
            stack.callback(hub.watch.log.close)
            hub.saves = (keep or keep_sessions)(hub, stack)
            hub.watch.settled()
            await stack.enter_async_context(deliveries.running())
            for engine in engines.values():
                engine.service.start()
            await stack.enter_async_context(videos.running())
            await stack.enter_async_context(sources.running())
            await stack.enter_async_context(pushes.running())
            await stack.enter_async_context(peers.running())
            sweeping = asyncio.create_task(sweep(hub), name="sweep")
            yield
            sweeping.cancel()
            await hub.drained()

    app = FastAPI(
        title="Framestate",
        summary=SUMMARY,
        description=DESCRIPTION,
        version=version("framestate"),
        lifespan=lifespan,
        docs_url=None,  # FastAPI's own pages load scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,
    )
    if settings.root_path:
        app.servers.append({"url": root_of(settings.root_path)})
    app.state.hub, app.state.sources, app.state.reload = hub, sources, reload
    routers = [
        kserve_api(hub),
        sessions_api(hub, decoder),
        sources_admin_api(hub, sources),
        pictures_api(hub, sources, peers, decoder),
        events_api(hub.watch.log),
        admin_api(settings.body_s),
        targets_api(hub, sources),
        detections_api(hub, sources),
        sources_api(hub, sources, decoder),  # before streams, which take any id
        streams(hub, decoder),
        videos_api(hub, videos),
        pages(),
    ]
    answer_errors(app, Routes(app, routers))
    app.openapi = lambda: openapi(app)  # type: ignore[method-assign]
    app.add_middleware(Versions)
    app.add_middleware(Gate, settings=settings, keys=keys, metrics=hub.metrics, revoked=revoked)
    app.add_middleware(Cors, settings=settings)
    app.add_middleware(SafeHeaders)
    app.add_middleware(AccessLog, metrics=hub.metrics)
    if traces is not None:
        app.add_middleware(Spans, traces=traces)
    app.add_middleware(RequestIds)
    return app


def keep_sessions(hub: Hub, stack: AsyncExitStack) -> list[Saves]:
    """Takes up the scenes and sessions of the state folder, and keeps them there from now on."""
    state = hub.settings.state_dir
    saves: list[Saves] = []
    for name, engine in hub.engines.items():
        if state is None:
            continue
        keeping: list[Keeping[Any]] = [KeptScenes(hub, name, engine)] if can_follow(engine) else []
        folder = state / SESSIONS / engine.bundle_hash[:16]
        for save in [*keeping, Autosave(engine, folder, every_s=hub.settings.snapshot_s)]:
            found, refused = save.restore()
            hub.adopt(found, name)
            for file, error in refused.items():
                extra = {"file": file, "model": name, "error": str(error)}
                logger().error("session not restored", extra=extra)
            saves.append(stack.enter_context(save))
    return saves


async def sweep(hub: Hub) -> None:
    """Ends what nobody uses, and says when snapshots fail; for ever."""
    period = min(1.0, hub.settings.grace_s / 4, hub.settings.idle_s / 4)
    failing: set[int] = set()
    while True:
        await asyncio.sleep(period)
        hub.sweep()
        await hub.memory.sweep(hub.entries())
        if hub.disk is not None:
            await asyncio.to_thread(hub.disk.probe)
        for number, save in enumerate(hub.saves):
            if save.failure is not None and number not in failing:
                failing.add(number)
                logger().error("snapshots cannot be written", extra={"error": str(save.failure)})
            elif save.failure is None:
                failing.discard(number)


def answer_errors(app: FastAPI, routes: Routes) -> None:
    """Makes problem details of every error."""

    @app.exception_handler(FramestateError)
    async def typed(request: Request, error: FramestateError) -> Response:
        response = problem_of(error)
        if "session_id" in request.path_params:
            response.headers["x-session-id"] = request.path_params["session_id"]
        if response.status_code >= 500:
            extra = {"path": request.url.path, "error": str(error), "code": type(error).__name__}
            logger().error("request failed", extra=extra, exc_info=error.__cause__)
        return response

    @app.exception_handler(HTTPException)
    async def plain(request: Request, error: HTTPException) -> Response:
        phrase = HTTPStatus(error.status_code).phrase
        detail = error.detail if error.detail != phrase else HTTPStatus(error.status_code).description
        return problem(
            error.status_code,
            phrase,
            detail or phrase,
            code=f"Http{error.status_code}",
            headers={"allow": routes.allowed(request.scope)} if error.status_code == 405 else error.headers,
        )

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        found = [
            {"where": ".".join(str(part) for part in one["loc"]), "problem": one["msg"]}
            for one in error.errors()
        ]
        detail = "; ".join(f"{one['where']}: {one['problem']}" for one in found)
        return problem(
            422, "A parameter is missing or cannot be used", detail, code="Http422", errors=found,
            problem=detail, remedy="See /docs for what this call takes.",
        )  # fmt: skip

    @app.exception_handler(Exception)
    async def unforeseen(request: Request, error: Exception) -> Response:
        logger().error("request failed", extra={"path": request.url.path}, exc_info=error)
        return problem(500, "Internal Server Error", "The server failed; its log says how.", code="Http500")


def openapi(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document, made once."""
    if app.openapi_schema is None:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Duplicate Operation ID")  # HEAD beside GET
            document = get_openapi(
                title=app.title,
                version=app.version,
                summary=app.summary,
                description=app.description,
                routes=app.routes,
                servers=app.servers,
            )
        app.openapi_schema = complete(document)
    return app.openapi_schema


class AccessLog:
    """ASGI middleware: counts every answer, and writes one line of it."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Watches an answer go by."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        began, status = time.perf_counter(), 0

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, sending)
        finally:
            self._metrics.answered(scope["method"], status or 500)
            extra = {
                "method": scope["method"],
                "path": scope["path"],
                "status": status,
                "ms": round(1e3 * (time.perf_counter() - began), 2),
            }
            session = (scope.get("path_params") or {}).get("session_id")
            logger().debug("request", extra=extra | ({"session": session} if session else {}))
