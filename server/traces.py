"""Traces for OpenTelemetry, where they are asked for: a span for each request, and each frame's stages"""

from __future__ import annotations

import asyncio
import threading
import time
from importlib.metadata import version
from typing import Any, Protocol
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..errors import OptionError, RuntimeUnavailableError
from ..wire import Timings
from .request_ids import CURRENT

STAGES = ("decode", "queue", "prepare", "model", "finish")
FLUSH_S = 2.0


class Frames(Protocol):
    """Who is told of answered frames."""

    def frame(self, session: str, model: str, timings: Timings) -> None:
        """A frame was answered just now."""


class NoTraces:
    """Tells nobody."""

    def frame(self, session: str, model: str, timings: Timings) -> None:
        """Nothing."""


class Traces:
    """Sends spans to a collector by OTLP over HTTP, from a thread of its own; who is away holds up nothing.

    Sampling is the SDK's: ``OTEL_TRACES_SAMPLER`` and ``OTEL_TRACES_SAMPLER_ARG``.

    Args:
        endpoint: of the collector, such as ``http://127.0.0.1:4318/v1/traces``.

    Raises:
        OptionError: this is no web address.
        RuntimeUnavailableError: OpenTelemetry is missing.
    """

    def __init__(self, endpoint: str) -> None:
        parts = urlsplit(endpoint)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise OptionError(
                "the collector has no such address", "Give http://127.0.0.1:4318/v1/traces, say."
            )
        try:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
        except ImportError as error:
            raise RuntimeUnavailableError(
                "traces need OpenTelemetry, which is not installed",
                "Install it: pip install 'framestate[traces]'.",
            ) from error
        about = {"service.name": "framestate", "service.version": version("framestate")}
        self._provider: Any = TracerProvider(resource=Resource.create(about), shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint, timeout=FLUSH_S)))
        self.tracer: Any = self._provider.get_tracer("framestate.server")

    def frame(self, session: str, model: str, timings: Timings) -> None:
        """A frame was answered just now: its stages end there, one after another."""
        from opentelemetry import trace

        at = time.time_ns() - round(1e6 * timings.total_ms)
        about = {"framestate.session": session, "framestate.model": model}
        span = self.tracer.start_span("frame", start_time=at, attributes=about)
        inside = trace.set_span_in_context(span)
        for stage in STAGES:
            end = at + round(1e6 * getattr(timings, f"{stage}_ms"))
            if end > at:
                self.tracer.start_span(stage, context=inside, start_time=at).end(end)
            at = end
        span.end(at)

    async def close(self) -> None:
        """Sends what is left, as far as that takes no long time."""
        thread = threading.Thread(target=self._provider.shutdown, name="framestate-traces", daemon=True)
        thread.start()
        await asyncio.to_thread(thread.join, FLUSH_S)


class Spans:
    """ASGI middleware: a span around each request and stream, in the caller's trace where it has one."""

    def __init__(self, app: ASGIApp, traces: Traces) -> None:
        self._app, self._tracer = app, traces.tracer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hands on the request."""
        if scope["type"] not in ("http", "websocket"):
            return await self._app(scope, receive, send)
        from opentelemetry.trace import SpanKind, Status, StatusCode
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        method = scope.get("method", "WEBSOCKET")
        parent = TraceContextTextMapPropagator().extract(dict(Headers(scope=scope)))
        about = {
            "http.request.method": method,
            "url.path": scope["path"],
            "client.address": (scope.get("client") or ("",))[0],
            "framestate.request": CURRENT.get(""),
        }
        with self._tracer.start_as_current_span(
            method, context=parent, kind=SpanKind.SERVER, attributes=about
        ) as span:

            async def sending(message: Message) -> None:
                if message["type"] == "http.response.start":
                    span.set_attribute("http.response.status_code", message["status"])
                    if message["status"] >= 500:
                        span.set_status(Status(StatusCode.ERROR))
                elif message["type"] == "websocket.close":
                    span.set_attribute("framestate.close_code", message.get("code", 1000))
                await send(message)

            await self._app(scope, receive, sending)
            route = getattr(scope.get("route"), "path", None)
            if route:
                span.update_name(f"{method} {route}")
                span.set_attribute("http.route", route)
            session = (scope.get("path_params") or {}).get("session_id")
            if session:
                span.set_attribute("framestate.session", session)
