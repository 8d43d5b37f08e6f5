"""A session over WebSocket for event loops: a target that is followed, and a video that is interpolated"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterable
from types import TracebackType
from typing import Self

from ..errors import FrameDroppedError, SessionError
from ..vision import Frame
from .inbox import Answer
from .link import Link
from .messages import Message, Welcome
from .pictures import FrameLike, Numbering, frame_of
from .results import Track

Frames = Iterable[FrameLike] | AsyncIterable[FrameLike]


class _AsyncStream:
    """What both kinds of session share: numbered frames out, answers in, and the end."""

    def __init__(self, link: Link, numbering: Numbering) -> None:
        self._link = link
        self._numbering = numbering
        self._order = asyncio.Lock()  # frames leave in the order in which they were handed over

    @property
    def id(self) -> str:
        """The session's id; ``AsyncClient.resume`` goes on with it, from any process."""
        return self._link.welcome.session

    @property
    def welcome(self) -> Welcome:
        """What the server said of itself and its limits when it was last connected to."""
        return self._link.welcome

    @property
    def reconnects(self) -> int:
        """How often the connection was lost and found again."""
        return self._link.reconnects

    @property
    def frames_lost(self) -> int:
        """Answered frames that the session no longer remembers, since its server went on from a snapshot."""
        return self._link.frames_lost

    async def _send(self, frame: FrameLike, opening: Message | None = None) -> asyncio.Future[Answer]:
        async with self._order:
            if isinstance(frame, bytes):
                picture = self._numbering.picture(frame)
            else:  # encoding an image takes longer than going to another thread for it
                picture = await asyncio.to_thread(self._numbering.picture, frame)
            return await self._link.send(picture, opening)

    async def abandon(self) -> None:
        """Ends the connection and not the session: it can be resumed for as long as the server keeps it."""
        await self._link.abandon()

    async def close(self) -> None:
        """Ends the session. Closing twice is harmless."""
        await self._link.finish()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


class AsyncTarget(_AsyncStream):
    """One followed object. Every frame ends in one ``Track`` or one typed error.

    - FrameError, ImageError: the frame cannot be used; the session goes on without it.
    - StepError: the model failed; the session is as it was.
    - FrameDroppedError: the queue policy dropped the frame; the next ``Track.dropped`` counts it.
    - UnavailableError: the server cannot be reached any more, or an answer was lost with a connection.
    - SessionError: the session has ended.
    """

    async def open(self, frame: FrameLike, opening: Message) -> Self:
        """Sends the first frame and waits until the session is open; ``AsyncClient.track`` calls it."""
        await (await self._send(frame, opening))
        return self

    async def send(self, frame: FrameLike) -> asyncio.Future[Answer]:
        """Sends the next frame without waiting for its answer, whose ``track`` the future brings."""
        return await self._send(frame)

    async def update(self, frame: FrameLike) -> Track:
        """Where the target is in the next frame. Errors: see the class."""
        return track_in(await (await self._send(frame)))

    async def stream(self, frames: Frames, *, window: int = 4) -> AsyncGenerator[Track]:
        """A track a frame, in order, with up to ``window`` frames on their way at once.

        A dropped frame has none: the next track's ``dropped`` counts it. The other errors are raised.
        """
        waiting: deque[asyncio.Future[Answer]] = deque()
        async for frame in each(frames):
            waiting.append(await self._send(frame))
            while len(waiting) >= window or (waiting and waiting[0].done()):
                track = await _kept(waiting.popleft())
                if track is not None:
                    yield track
        for future in waiting:
            track = await _kept(future)
            if track is not None:
                yield track


class AsyncInterpolation(_AsyncStream):
    """One video that is interpolated: frames in, and more frames out, the given ones among them."""

    def __init__(self, link: Link, numbering: Numbering, opening: Message) -> None:
        super().__init__(link, numbering)
        self._opening: Message | None = opening

    async def push(self, frame: FrameLike) -> list[Frame]:
        """The frames that can be shown now, in order, with their exact times."""
        opening, self._opening = self._opening, None
        answer = await (await self._send(frame, opening))
        return await asyncio.to_thread(lambda: [frame_of(picture) for picture in answer.made])

    async def flush(self) -> list[Frame]:
        """Ends the session, and gives the frames that it still held."""
        pictures = await self._link.finish()
        return await asyncio.to_thread(lambda: [frame_of(picture) for picture in pictures])


def track_in(answer: Answer) -> Track:
    """The track of an answer. Raises SessionError where it has none."""
    if answer.track is None:
        raise SessionError("the server answered without a track", "Open a session for tracking.")
    return answer.track


async def _kept(future: asyncio.Future[Answer]) -> Track | None:
    try:
        return track_in(await future)
    except FrameDroppedError:
        return None


async def each(frames: Frames) -> AsyncIterator[FrameLike]:
    """The frames of an iterable of either kind; one that blocks is read beside the event loop."""
    if isinstance(frames, AsyncIterable):
        async for frame in frames:
            yield frame
        return
    iterator, end = iter(frames), object()
    while (one := await asyncio.to_thread(next, iterator, end)) is not end:
        assert isinstance(one, bytes | Frame) or hasattr(one, "shape")
        yield one  # type: ignore[misc]
