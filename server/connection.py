"""The HTTP connection: uvicorn's, with a time limit for headers and typed answers to what is no request."""

from __future__ import annotations

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from ..errors import FramestateError, RequestError, TooLargeError, TooSlowError
from .problems import MEDIA_TYPE, problem_of

MAX_HEADER_BYTES = 32 * 1024


class GuardedConnection(H11Protocol):
    """One connection. A peer that has not sent all headers of a request after ``header_s`` is closed.

    uvicorn has no such limit of its own: without it, silent peers could hold every connection for ever.
    """

    header_s = 10.0

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._header_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Starts the clock for the first request."""
        super().connection_made(transport)
        self._wait_for_headers()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stops the clock."""
        self._stop_waiting()
        super().connection_lost(exc)

    def handle_events(self) -> None:
        """Runs the requests that are complete, and keeps the clock running for one that is not."""
        super().handle_events()
        if self.transport.is_closing() or self.conn.their_state is not h11.IDLE:
            self._stop_waiting()
        elif self.conn.trailing_data[0] and self._header_timer is None:  # half of another request
            self._wait_for_headers()

    def handle_websocket_upgrade(self, event: h11.Request) -> None:
        """The stream has time limits of its own."""
        self._stop_waiting()
        super().handle_websocket_upgrade(event)

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP request is answered with problem details too."""
        held = len(self.conn.trailing_data[0])
        error: FramestateError = RequestError("this is no HTTP/1.1 request", "send one")
        status = 400
        if held >= MAX_HEADER_BYTES:
            status = 431
            error = TooLargeError(
                f"the headers have more than {MAX_HEADER_BYTES} bytes", "send fewer or shorter ones"
            )
        self._answer(status, error)

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


def connection_class(header_s: float) -> type[GuardedConnection]:
    """The connection with a time limit of its own, as uvicorn takes a class and no arguments."""
    return type("Connection", (GuardedConnection,), {"header_s": header_s})
