"""The HTTP connection: uvicorn's, with a time limit for headers and typed answers to what is no request."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import h11
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from ..errors import FramestateError, RequestError, TooLargeError, TooSlowError, UnavailableError
from .crowd import KNOWN, REFUSED, Crowd
from .problems import MEDIA_TYPE, problem_of
from .settings import Settings
from .stream_socket import handshake_problem
from .strict_http import StrictConnection

MAX_HEADER_BYTES = 32 * 1024
PLAIN_GET = "send a GET without a body, with at most 128 headers of at most 8,000 bytes each"


class GuardedConnection(H11Protocol):
    """One connection. A peer that has not sent all headers of a request after ``header_s`` is closed.

    uvicorn has no such limit of its own: without it, silent peers could hold every connection for ever.
    """

    header_s = 10.0
    crowd: Crowd

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.conn = StrictConnection(h11.SERVER, MAX_HEADER_BYTES)
        self.app_state = {**self.app_state, KNOWN: partial(self.crowd.leave, self)}
        self._header_timer: asyncio.TimerHandle | None = None
        self._crowded = False
        self._listens_only = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Starts the clock for the first request."""
        super().connection_made(transport)
        self._crowded = not self.crowd.enter(self, len(self.connections))
        if self._crowded:
            self.app = crowded
        if len(self.connections) > self.crowd.most + REFUSED:
            transport.abort()
        else:
            self._wait_for_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stops the clock."""
        self._stop_waiting()
        self.crowd.leave(self)
        super().connection_lost(exc)

    def eof_received(self) -> bool:  # type: ignore[override]
        """What was asked for whole is answered, though the peer says no more: it may still listen.

        With TLS there is no such half of a connection.
        """
        cycle = self.cycle
        whole = cycle is not None and not cycle.more_body and not cycle.response_started
        self._listens_only = whole and self.scheme == "http"
        return self._listens_only

    def on_response_complete(self) -> None:
        """Closes after the last answer to a peer that says no more."""
        super().on_response_complete()
        if self._listens_only and self.cycle.response_complete:
            self.transport.close()

    def shed(self) -> None:
        """Makes room for another one: this one's peer has shown no right to it."""
        self.connections.discard(self)
        self.transport.abort()

    def handle_events(self) -> None:
        """Runs the requests that are complete, and keeps the clock running for one that is not."""
        if self.conn.their_state is h11.IDLE:
            held = self.conn.trailing_data[0]
            if len(held) > MAX_HEADER_BYTES and held.find(b"\r\n\r\n", 0, MAX_HEADER_BYTES) < 0:
                self._stop_waiting()
                self._answer(431, too_long())  # h11 would take any length that comes at once
                return
        super().handle_events()
        if self.transport.is_closing() or self.conn.their_state is not h11.IDLE:
            self._stop_waiting()
        elif self.conn.trailing_data[0] and self._header_timer is None:  # half of another request
            self._wait_for_headers()

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """The stream has time limits of its own, and leaves the crowd by itself."""
        self._stop_waiting()
        if self._crowded:
            self._answer(503, too_many())
            return
        super().handle_websocket_upgrade(event)
        cause = handshake_problem(self.transport.get_protocol())
        if cause is not None:
            self._answer(400, RequestError(f"the WebSocket's handshake cannot be read ({cause})", PLAIN_GET))

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP request is answered with problem details too."""
        self._answer(400, RequestError("this is no HTTP/1.1 request", "send one"))

    def _answer(self, status: int, error: FramestateError) -> None:
        """Sends an error past the application, and closes."""
        body = bytes(problem_of(error).body).replace(
            b'"status":%d' % problem_of(error).status_code, b'"status":%d' % status
        )
        headers = [
            (b"content-type", MEDIA_TYPE.encode()),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
        ]
        try:
            parts = [
                self.conn.send(h11.Response(status_code=status, headers=headers)),
                self.conn.send(h11.Data(data=body)),
                self.conn.send(h11.EndOfMessage()),
            ]
        except h11.LocalProtocolError:  # an answer is under way already
            parts = []
        for part in parts:
            if part:
                self.transport.write(part)
        self.transport.close()

    def _wait_for_headers(self) -> None:
        self._header_timer = self.loop.call_later(self.header_s, self._too_slow)

    def _stop_waiting(self) -> None:
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None

    def _too_slow(self) -> None:
        self._header_timer = None
        if self.conn.their_state is h11.IDLE and not self.transport.is_closing():
            self._answer(
                408,
                TooSlowError(f"no whole request came within {self.header_s:g} s", "send the headers at once"),
            )


def connection_class(settings: Settings, crowd: Crowd) -> type[GuardedConnection]:
    """The connection with the limits of these settings, as uvicorn takes a class and no arguments."""
    limits = {"header_s": settings.header_s, "crowd": crowd}
    return type("Connection", (GuardedConnection,), limits)


async def crowded(scope: Scope, receive: Receive, send: Send) -> None:
    """The application of connections that are one too many."""
    response = problem_of(too_many())
    response.headers["connection"] = "close"
    await response(scope, receive, send)


def too_many() -> UnavailableError:
    """What one connection too many is answered with."""
    return UnavailableError("the server has as many connections as it takes", "try again in a moment")


def too_long() -> TooLargeError:
    """What headers without an end are answered with."""
    return TooLargeError(f"the headers have more than {MAX_HEADER_BYTES} bytes", "send fewer or shorter ones")
