"""What a stream sends: answers in the order they are made, never more waiting than a slow peer is allowed."""

from __future__ import annotations

import asyncio

from fastapi import WebSocket, WebSocketDisconnect

from ..client.wire import Message, Picture, encode_message, encode_picture
from ..errors import TooSlowError

MOST_WAITING = 4096
MOST_BYTES = 16 * 1024 * 1024
"""Pictures for a peer are made no further ahead than this."""


class Outbox:
    """Sends over one WebSocket, from a task of its own, so that a peer who reads slowly holds up nobody.

    Args:
        seconds: that the peer may take for one message.
    """

    def __init__(self, socket: WebSocket, seconds: float) -> None:
        self._socket = socket
        self._seconds = seconds
        self._waiting: asyncio.Queue[str | bytes | None] = asyncio.Queue()
        self.bytes = 0
        """What waits to be sent, in bytes and characters."""
        self._taken = asyncio.Event()
        self.failed: asyncio.Future[TooSlowError] = asyncio.get_running_loop().create_future()
        """Done when the peer does not take what it is sent."""
        self._task = asyncio.create_task(self._run(), name="outbox")

    def send(self, content: Message | Picture) -> None:
        """Queues a message or a picture."""
        if self._task.done():
            return
        if self._waiting.qsize() >= MOST_WAITING:
            self._fail(f"{MOST_WAITING} answers wait for the peer to read them")
            return
        data = encode_picture(content) if isinstance(content, Picture) else encode_message(content)
        self.bytes += len(data)
        self._waiting.put_nowait(data)

    async def ready(self) -> None:
        """Waits until little enough waits to be sent that more may be made."""
        while self.bytes > MOST_BYTES and not self._task.done():
            self._taken.clear()
            await self._taken.wait()

    async def close(self, *, now: bool = False) -> None:
        """Sends what waits, and ends; ``now`` ends at once. A peer who does not read is not waited for."""
        if not now and not self.failed.done():
            self._waiting.put_nowait(None)
            await asyncio.wait([self._task], timeout=self._seconds)
        self._task.cancel()

    async def _run(self) -> None:
        try:
            while (data := await self._waiting.get()) is not None:
                async with asyncio.timeout(self._seconds):
                    if isinstance(data, str):
                        await self._socket.send_text(data)
                    else:
                        await self._socket.send_bytes(data)
                self.bytes -= len(data)
                self._taken.set()
        except TimeoutError:
            self._fail(f"a message could not be sent for {self._seconds:g} s")
        except (WebSocketDisconnect, RuntimeError):  # it is closed: whoever reads from it knows already
            return
        finally:
            self._taken.set()

    def _fail(self, problem: str) -> None:
        if not self.failed.done():
            self.failed.set_result(TooSlowError(problem, "read the answers as they come"))
