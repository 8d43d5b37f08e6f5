"""`AsyncStream`: a session of any task over WebSocket, for event loops"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterable
from types import TracebackType
from typing import Any, Self

from ..errors import FrameDroppedError
from ..vision import Frame
from ..wire import Open, Picture, Welcome
from .boxes import BoxLike, numbers_of
from .link import Link
from .pictures import FrameLike, Numbering
from .results import Reply

Frames = Iterable[FrameLike] | AsyncIterable[FrameLike]


class AsyncStream:
    """One session: frames in, answers out. Every frame ends in one answer or one typed error.

    Answers are those of ``framestate.wire``: ``Track``, ``Made``, ``Classification``, ``Output``; ``Plain``
    for a task of somebody's own.

    - FrameError, ImageError: the frame cannot be used; the session goes on without it.
    - StepError: the model failed; the session is as it was.
    - FrameDroppedError: the queue policy dropped the frame; the next answer's ``dropped`` counts it.
    - UnavailableError: the server cannot be reached any more, or an answer was lost with a connection.
    - SessionError: the session has ended.
    """

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

    async def open(self, frame: FrameLike | None, opening: Open) -> Self:
        """Opens the session; ``AsyncClient.open`` calls it."""
        async with self._order:
            await self._link.open(opening, None if frame is None else await self._picture(frame))
        return self

    async def send(self, frame: FrameLike) -> asyncio.Future[Reply]:
        """Sends the next frame without waiting for its answer, which ``Reply.answer`` of the future gives."""
        async with self._order:
            return await self._link.send(await self._picture(frame))

    async def push(self, frame: FrameLike) -> Any:
        """The answer to the next frame. Errors: see the class."""
        return await answer_in(await (await self.send(frame)))

    async def correct(self, box: BoxLike, *, index: int | None = None) -> Any:
        """Puts right where the target is in the frame that was sent last; filter and template follow.

        Args:
            box: x, y, width, height in pixels.
            index: of the frame that it is in, to be refused if others were sent since.

        It waits until all frames sent before are answered, and goes before all that are sent later. The
        answer is the session's by now, a ``Track``.

        Raises:
            BoxError, FrameError: the box is outside the frame, or in another one.
            OptionError: the session follows no target.
        """
        async with self._order:
            future = await self._link.correct(numbers_of(box), index)
        return await answer_in(await future)

    async def stream(self, frames: Frames, *, window: int = 4) -> AsyncGenerator[Any]:
        """An answer a frame, in order, with up to ``window`` frames on their way at once.

        A dropped frame has none: the next answer's ``dropped`` counts it. The other errors are raised.
        """
        waiting: deque[asyncio.Future[Reply]] = deque()
        async for frame in each(frames):
            waiting.append(await self.send(frame))
            while len(waiting) >= window or (waiting and waiting[0].done()):
                reply = await _kept(waiting.popleft())
                if reply is not None:
                    yield await answer_in(reply)
        for future in waiting:
            reply = await _kept(future)
            if reply is not None:
                yield await answer_in(reply)

    async def flush(self) -> Any:
        """Ends the session, and gives what it still held; None where its task holds nothing."""
        return await answer_in(await self._link.finish(flush=True))

    async def abandon(self) -> None:
        """Ends the connection and not the session: it can be resumed for as long as the server keeps it."""
        await self._link.abandon()

    async def close(self) -> None:
        """Ends the session. Closing twice is harmless."""
        await self._link.finish()

    async def _picture(self, frame: FrameLike) -> Picture:
        if isinstance(frame, bytes):
            return self._numbering.picture(frame)
        return await asyncio.to_thread(
            self._numbering.picture, frame
        )  # encoding takes longer than going there

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


async def answer_in(reply: Reply) -> Any:
    """The answer of a reply; one with parts is read on a thread."""
    return await asyncio.to_thread(reply.answer) if reply.parts else reply.answer()


async def _kept(future: asyncio.Future[Reply]) -> Reply | None:
    try:
        return await future
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
