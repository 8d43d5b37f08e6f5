"""The WebSocket connection: uvicorn's, which hears control frames while the session is held back.

uvicorn reads no further while a message waits for the application, so that a peer who sends freely is held
back; a pong behind that message would then count as missing. Here a few more messages are read, and silence
counts only while the server listens.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from .crowd import leave_crowd

READ_AHEAD = 4 * 1024 * 1024
"""Bytes of messages that are read before the application takes them."""
OVERHEAD = 512
"""What a message that waits costs beside its bytes."""


class HeldBackSocket(WebSocketsSansIOProtocol):
    """One WebSocket. Its peer is gone when nothing at all came for ``ping_timeout`` after a ping.

    What it sent last may be more than is read ahead: then it is held back, and waited for.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._heard_at = self.loop.time()
        self._sizes: deque[int] = deque()  # of the messages that wait

    def data_received(self, data: bytes) -> None:
        """Notes that the peer lives."""
        self._heard_at = self.loop.time()
        super().data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Makes room for another one."""
        leave_crowd(self.app_state)
        super().connection_lost(exc)

    def send_receive_event_to_app(self) -> None:
        """Reads on until enough waits. Text that is no UTF-8 ends the connection (1007)."""
        if self.curr_msg_data_type == "text" and not is_utf8(self.frames):
            self.frames = []
            self.conn.send_close(1007)
            self.handle_parser_exception()
            return
        size = sum(len(frame) for frame in self.frames)
        waiting = self.queue.qsize()
        held_back, self.read_paused = self.read_paused, True  # uvicorn pauses at once where it is not yet
        super().send_receive_event_to_app()
        self.read_paused = held_back
        if self.queue.qsize() > waiting:
            self._sizes.append(size + OVERHEAD)
        if not self.read_paused and sum(self._sizes) > READ_AHEAD and not self.close_sent:
            self.read_paused = True
            self.transport.pause_reading()

    async def receive(self) -> Any:
        """One message; reads on when little enough waits."""
        message = await self.queue.get()
        if message["type"] == "websocket.receive":
            self._sizes.popleft()
        if self.read_paused and sum(self._sizes) <= READ_AHEAD:
            self._read_on()
        return message

    def keepalive_timeout(self) -> None:
        """Ends the connection, unless the peer was heard, or could not be."""
        silent = self.loop.time() - self._heard_at
        patience = self.ping_timeout or 0.0
        if self.read_paused or silent < patience:
            left = patience if self.read_paused else patience - silent
            self.pong_timer = self.loop.call_later(left, self.keepalive_timeout)
        else:
            super().keepalive_timeout()

    def _read_on(self) -> None:
        self.read_paused = False
        self._heard_at = self.loop.time()
        self.transport.resume_reading()


def is_utf8(parts: Sequence[bytes]) -> bool:
    """Whether a message of text is one."""
    try:
        b"".join(parts).decode()
    except UnicodeDecodeError:
        return False
    return True


def handshake_problem(protocol: object) -> str | None:
    """Why a handshake was not even looked at, which nobody else would tell the peer."""
    if not isinstance(protocol, HeldBackSocket) or protocol.handshake_initiated:
        return None
    problem = protocol.conn.handshake_exc
    return str((problem and problem.__cause__) or problem or "it is no request")
