"""`Peers`: WebRTC connections: pictures in by WHIP (RFC 9725), and annotated ones out by WHEP"""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from fractions import Fraction
from typing import Any

import av
import numpy as np

from ..errors import (
    CapacityError,
    FramestateError,
    OptionError,
    RuntimeUnavailableError,
    UnknownItemError,
    WireError,
)
from .live import PATIENCE_S
from .logs import logger
from .published import PublishedReader
from .screen import Screen
from .source import Source

TICK = Fraction(1, 90_000)
ANSWER_S = 10.0


class Peers:
    """Every WebRTC connection of a server. Lives on the event loop.

    Args:
        most: connections at once.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._open: dict[str, Any] = {}
        self._tasks: set[asyncio.Task[Any]] = set()

    async def shown(self, source: Source, offer: str) -> tuple[str, str]:
        """Sends a source's annotated pictures to whoever makes this offer; gives the id, and the answer.

        Raises:
            WireError: this is no offer that can be answered.
            CapacityError: there are as many connections as there may be.
            RuntimeUnavailableError: aiortc is missing.
        """
        track = _screen_track(source.screen)
        return await self._answer(offer, lambda peer: peer.addTrack(track), lambda: None)

    async def taken(self, source: Source, offer: str) -> tuple[str, str]:
        """Takes the pictures of whoever makes this offer.

        Raises:
            OptionError: the source is not one that is published to.
            SessionBusyError: somebody publishes to it.
            WireError, CapacityError, RuntimeUnavailableError: as ``shown``.
        """
        reader = source.reader
        if not isinstance(reader, PublishedReader):
            raise OptionError(f"source {source.name!r} is read, not published to", "start it as NAME=whip:")
        reader.claim()

        def prepare(peer: Any) -> None:
            def come(track: Any) -> None:
                if track.kind == "video":
                    self._keep(_published(peer, track, reader))

            peer.on("track", come)

        try:
            return await self._answer(offer, prepare, reader.release)
        except BaseException:
            if reader.publisher:
                reader.release()
            raise

    async def close(self, key: str) -> None:
        """Ends a connection. Raises UnknownItemError."""
        if key not in self._open:
            raise UnknownItemError(f"there is no connection {key[:80]!r}", "it has ended")
        await self._open[key].close()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """While the server runs."""
        try:
            yield
        finally:
            await asyncio.gather(
                *(peer.close() for peer in list(self._open.values())), return_exceptions=True
            )
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _answer(
        self, offer: str, prepare: Callable[[Any], object], ended: Callable[[], object]
    ) -> tuple[str, str]:
        aiortc = _aiortc()
        if len(self._open) >= self._most:
            raise CapacityError(
                f"there are {self._most} WebRTC connections, as many as may be", "end one first"
            )
        key, peer = uuid.uuid4().hex, aiortc.RTCPeerConnection(aiortc.RTCConfiguration(iceServers=[]))
        self._open[key] = peer

        async def changed() -> None:
            logger().info("peer", extra={"peer": key, "state": peer.connectionState})
            if peer.connectionState in ("failed", "closed") and self._open.pop(key, None) is not None:
                ended()
                await peer.close()

        peer.on("connectionstatechange", changed)
        try:
            async with asyncio.timeout(ANSWER_S):
                kinds = [part.kind for part in aiortc.sdp.SessionDescription.parse(offer).media]
                if "video" not in kinds:
                    raise ValueError("there is no video in it")
                prepare(peer)
                await peer.setRemoteDescription(aiortc.RTCSessionDescription(offer, "offer"))
                await peer.setLocalDescription(await peer.createAnswer())
            return key, str(peer.localDescription.sdp)
        except Exception as error:
            self._open.pop(key, None)
            with contextlib.suppress(Exception):
                await peer.close()
            if isinstance(error, FramestateError):
                raise
            why = str(error)[:100] or type(error).__name__
            raise WireError(
                f"the offer cannot be answered ({why})", "send an SDP offer with one video"
            ) from error

    def _keep(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _aiortc() -> Any:
    try:
        import aiortc
    except ImportError as error:
        raise RuntimeUnavailableError(
            "WebRTC needs aiortc, which is not installed", "Install it: pip install 'framestate[webrtc]'."
        ) from error
    return aiortc


def _screen_track(screen: Screen) -> Any:
    """A track of the newest pictures: none waits for another, so no delay grows."""
    _aiortc()
    from aiortc.mediastreams import MediaStreamError, MediaStreamTrack

    class Track(MediaStreamTrack):  # type: ignore[misc]
        kind = "video"

        def __init__(self) -> None:
            super().__init__()
            self._number, self._began, self._last = 0, time.monotonic(), -1

        async def recv(self) -> Any:
            try:
                self._number, frame = await screen.after(self._number)
            except UnknownItemError:
                self.stop()
                raise MediaStreamError from None
            even = frame.image[: frame.height // 2 * 2, : frame.width // 2 * 2]
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(even), format="rgb24")
            self._last = max(self._last + 1, round((time.monotonic() - self._began) / TICK))
            picture.pts, picture.time_base = self._last, TICK
            return picture

    return Track()


async def _published(peer: Any, track: Any, reader: PublishedReader) -> None:
    """Takes what comes; when that ends, so does the connection, whose pictures nobody would take any more."""
    await _bring(track, reader)
    await peer.close()


async def _bring(track: Any, reader: PublishedReader) -> None:
    """Hands the newest picture over; those that come while one is converted are passed over."""
    newest: asyncio.Queue[Any] = asyncio.Queue(1)

    async def receive() -> None:
        while True:
            try:
                async with asyncio.timeout(PATIENCE_S):
                    frame = await track.recv()
            except TimeoutError:
                reader.silent()
                continue
            if newest.full():
                newest.get_nowait()
            newest.put_nowait(frame)

    receiving = asyncio.create_task(receive())
    try:
        while True:
            getting = asyncio.create_task(newest.get())
            await asyncio.wait([getting, receiving], return_when=asyncio.FIRST_COMPLETED)
            if not getting.done():
                getting.cancel()
                return
            frame = getting.result()
            image = await asyncio.to_thread(frame.to_ndarray, format="rgb24")
            reader.bring(np.ascontiguousarray(image), float(frame.time or 0.0))
    except FramestateError as error:
        reader.silent(error.problem)
    finally:
        receiving.cancel()
        await asyncio.gather(receiving, return_exceptions=True)
