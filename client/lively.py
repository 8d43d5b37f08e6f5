"""`LivelyConnection`: a WebSocket whose server is gone when nothing at all is heard of it.

A server that holds a peer back reads neither frames nor pings for a while, so a late pong means nothing. It
pings every 30 s or more often, whatever it does.
"""

from __future__ import annotations

import asyncio
from typing import Any

from websockets.asyncio.client import ClientConnection
from websockets.frames import CloseCode

SILENCE_S = 60.0


class LivelyConnection(ClientConnection):
    """Fails after ``silence_s`` seconds without a byte from the server."""

    silence_s = SILENCE_S

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._heard_at = self.loop.time()

    def data_received(self, data: bytes) -> None:
        """Notes that the server lives."""
        self._heard_at = self.loop.time()
        super().data_received(data)

    async def keepalive(self) -> None:
        """Waits for a silence that is too long, in place of pings of its own."""
        while (left := self._heard_at + self.silence_s - self.loop.time()) > 0:
            await asyncio.sleep(left)
        async with self.send_context():
            self.protocol.fail(CloseCode.INTERNAL_ERROR, "nothing was heard of the server")
