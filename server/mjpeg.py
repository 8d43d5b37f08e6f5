"""A source as motion JPEG: pictures one after another in one response, as browsers and players show them"""

from __future__ import annotations

import asyncio
import contextlib

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ..errors import UnknownItemError
from .pictures import Decoder
from .screen import Screen

BOUNDARY = "framestate-picture"


class MotionJpeg(Response):
    """Sends the newest picture whenever the peer has taken the one before.

    Args:
        screen: where they are.
        decoder: what makes JPEGs of them.
        stopping: set when the server stops.
        seconds: that the peer may take for one picture.
        per_second: pictures, at most.
    """

    media_type = f"multipart/x-mixed-replace; boundary={BOUNDARY}"

    def __init__(
        self, screen: Screen, decoder: Decoder, stopping: asyncio.Event, *,
        seconds: float, quality: int, per_second: float,
    ) -> None:  # fmt: skip
        super().__init__(headers={"cache-control": "no-store"})
        del self.headers["content-length"]
        self._screen, self._decoder, self._stopping = screen, decoder, stopping
        self._seconds, self._quality, self._per_second = seconds, quality, per_second

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Until the peer goes, or reads no more, or the source or the server ends."""
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        if scope["method"] == "HEAD":
            return await send({"type": "http.response.body", "body": b""})
        ends = [
            asyncio.create_task(self._pictures(send)),
            asyncio.create_task(_gone(receive)),
            asyncio.create_task(self._stopping.wait()),
        ]
        try:
            done, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in ends:
                task.cancel()
            await asyncio.gather(*ends, return_exceptions=True)
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(self._seconds):
                await send({"type": "http.response.body", "body": f"--{BOUNDARY}--\r\n".encode()})

    async def _pictures(self, send: Send) -> None:
        number, loop = 0, asyncio.get_running_loop()
        with contextlib.suppress(UnknownItemError, TimeoutError):
            while True:
                began = loop.time()
                number, frame = await self._screen.after(number)
                jpeg = await self._decoder.encode(frame.image, "jpeg", self._quality)
                head = f"--{BOUNDARY}\r\ncontent-type: image/jpeg\r\ncontent-length: {len(jpeg)}\r\n"
                part = f"{head}x-frame-index: {frame.index}\r\n\r\n".encode() + jpeg + b"\r\n"
                async with asyncio.timeout(self._seconds):
                    await send({"type": "http.response.body", "body": part, "more_body": True})
                await asyncio.sleep(max(0.0, began + 1 / self._per_second - loop.time()))


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
