"""Annotated pictures of a source, sent to an RTSP server elsewhere as H.264"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from fractions import Fraction
from typing import Any
from urllib.parse import urlsplit

import av
import av.error

from ..errors import OptionError, UnknownItemError
from ..vision import Frame
from .logs import logger
from .source import Source
from .sources import Sources

TICK = Fraction(1, 90_000)
PATIENCE_S = 5.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 10.0
H264 = {"preset": "ultrafast", "tune": "zerolatency", "x264-params": "keyint=30:scenecut=0"}


class Push:
    """One source to one address; it may hold a password, and is never shown.

    Args:
        source: whose pictures.
        url: ``rtsp://`` or ``rtsps://``, of a server that lets it publish.
    """

    def __init__(self, source: Source, url: str) -> None:
        self._source, self._url = source, url
        self._lock = threading.RLock()  # a frame may still be written when the push is cancelled
        self._container: Any = None
        self._stream: Any = None
        self._size = (0, 0)
        self._began = Fraction(0)
        self._last = -1

    async def run(self) -> None:
        """For ever, or until the source is removed. Connects again whenever it has to."""
        number, pause, up = 0, FIRST_PAUSE_S, None
        try:
            while True:
                number, frame = await self._source.screen.after(number)
                try:
                    await asyncio.to_thread(self._write, frame)
                except (av.error.FFmpegError, OSError, ValueError) as error:
                    await asyncio.to_thread(self._close)
                    if up is not False:
                        reason = str(getattr(error, "strerror", None) or type(error).__name__)
                        logger().warning("push away", extra={"source": self._source.name, "reason": reason})
                    up = False
                    await asyncio.sleep(pause)
                    pause = min(2 * pause, LONGEST_PAUSE_S)
                else:
                    if not up:
                        logger().info("push live", extra={"source": self._source.name})
                    up, pause = True, FIRST_PAUSE_S
        except UnknownItemError:
            return
        finally:
            await asyncio.shield(asyncio.to_thread(self._close))

    def _write(self, frame: Frame) -> None:
        size = frame.width // 2 * 2, frame.height // 2 * 2
        with self._lock:
            if self._container is None or size != self._size:
                self._close()
                self._open(size, frame)
            picture = av.VideoFrame.from_ndarray(frame.image[: size[1], : size[0]].copy(), format="rgb24")
            self._last = max(self._last + 1, round((frame.pts * frame.time_base - self._began) / TICK))
            picture.pts, picture.time_base = self._last, TICK
            for packet in self._stream.encode(picture):
                self._container.mux(packet)

    def _open(self, size: tuple[int, int], frame: Frame) -> None:
        self._size, self._began, self._last = size, frame.pts * frame.time_base, -1
        self._container = av.open(
            self._url, "w", format="rtsp", options={"rtsp_transport": "tcp"}, timeout=PATIENCE_S
        )
        self._stream = self._container.add_stream("libx264", rate=30)
        self._stream.width, self._stream.height = size
        self._stream.pix_fmt = "yuv420p"
        self._stream.codec_context.time_base = TICK
        self._stream.codec_context.options = H264

    def _close(self) -> None:
        with self._lock, contextlib.suppress(av.error.FFmpegError, OSError, ValueError):
            container, self._container, self._stream = self._container, None, None
            if container is not None:
                container.close()


class Pushes:
    """Every push of a server.

    Args:
        sources: whose pictures.
        texts: ``name=rtsp://...``.

    Raises:
        OptionError: there is no such source, or no such address.
    """

    def __init__(self, sources: Sources, texts: Sequence[str]) -> None:
        self._pushes = []
        for text in texts:
            name, _, url = text.partition("=")
            if name not in sources.by_name:
                raise OptionError(f"there is no source {name[:80]!r} to push", "Name one of --source.")
            if urlsplit(url).scheme not in ("rtsp", "rtsps") or not urlsplit(url).hostname:
                raise OptionError(f"the push of {name!r} has no RTSP address", "Give name=rtsp://host/path.")
            self._pushes.append(Push(sources.by_name[name], url))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """While the server runs."""
        tasks = [asyncio.create_task(push.run(), name="push") for push in self._pushes]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
