"""`Client`: the same as `AsyncClient` for callers without an event loop, which runs on a thread of its own"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Protocol, Self, TypeVar

from ..wire import Welcome
from .aio import AsyncClient
from .aio_rest import AsyncRestSession, AsyncVideo
from .aio_sources import AsyncSource, Boxes
from .aio_streams import AsyncStream
from .boxes import BoxLike
from .pictures import FrameLike
from .records import SessionInfo, TargetInfo, VideoInfo

_END = object()
T = TypeVar("T")


class _Closable(Protocol):
    async def close(self) -> None: ...


Inner = TypeVar("Inner", bound=_Closable)


class Portal:
    """An event loop on a thread, and calls into it."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="framestate-client", daemon=True)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """What a coroutine gives; waiting for it can be interrupted."""
        future = asyncio.run_coroutine_threadsafe(work, self.loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def close(self) -> None:
        """Ends the thread."""
        if self._thread.is_alive():
            self.run(self.loop.shutdown_default_executor())
            self.loop.call_soon_threadsafe(self.loop.stop)
            self._thread.join()
            self.loop.close()


class _Wrapped(Generic[Inner]):
    """Something of `AsyncClient`, called from a thread."""

    def __init__(self, portal: Portal, inner: Inner) -> None:
        self._portal = portal
        self._inner = inner

    def close(self) -> None:
        """Ends it."""
        self._portal.run(self._inner.close())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class Stream(_Wrapped[AsyncStream]):
    """One session of any task, over WebSocket. Answers and errors: as ``AsyncStream``."""

    @property
    def id(self) -> str:
        """The session's id; ``Client.resume`` goes on with it."""
        return self._inner.id

    @property
    def welcome(self) -> Welcome:
        """What the server said of itself and its limits when it was last connected to."""
        return self._inner.welcome

    @property
    def reconnects(self) -> int:
        """How often the connection was lost and found again."""
        return self._inner.reconnects

    @property
    def frames_lost(self) -> int:
        """Answered frames that the session no longer remembers, since its server went on from a snapshot."""
        return self._inner.frames_lost

    def push(self, frame: FrameLike) -> Any:
        """The answer to the next frame."""
        return self._portal.run(self._inner.push(frame))

    def correct(self, box: BoxLike, *, index: int | None = None) -> Any:
        """Puts right where the target is in the frame that was sent last; see ``AsyncStream.correct``."""
        return self._portal.run(self._inner.correct(box, index=index))

    def stream(self, frames: Iterable[FrameLike], *, window: int = 4) -> Iterator[Any]:
        """An answer a frame, in order, with up to ``window`` frames on their way; drops are only counted."""
        answers = self._inner.stream(frames, window=window)
        try:
            while (answer := self._portal.run(_next(answers))) is not _END:
                yield answer
        finally:
            self._portal.run(answers.aclose())

    def flush(self) -> Any:
        """Ends the session, and gives what it still held."""
        return self._portal.run(self._inner.flush())

    def abandon(self) -> None:
        """Ends the connection and not the session: it can be resumed for as long as the server keeps it."""
        self._portal.run(self._inner.abandon())


class RestSession(_Wrapped[AsyncRestSession]):
    """One session, each frame by an HTTP request."""

    @property
    def id(self) -> str:
        """The session's id."""
        return self._inner.id

    def push(self, frame: FrameLike) -> Any:
        """The answer to the next frame."""
        return self._portal.run(self._inner.push(frame))


class Source:
    """A live source. Arguments and errors: as ``AsyncSource``."""

    def __init__(self, portal: Portal, inner: AsyncSource) -> None:
        self._portal, self._inner = portal, inner

    @property
    def name(self) -> str:
        """What the server calls it."""
        return self._inner.name

    def targets(self) -> list[TargetInfo]:
        """What is followed in it, lost ones too."""
        return self._portal.run(self._inner.targets())

    def add(self, box: BoxLike, label: str = "", **options: Any) -> TargetInfo:
        """Follows one target more."""
        return self._portal.run(self._inner.add(box, label, **options))

    def correct(self, target: int, box: BoxLike, *, index: int | None = None) -> TargetInfo:
        """Puts right where a target is; its id stays."""
        return self._portal.run(self._inner.correct(target, box, index=index))

    def end(self, target: int) -> None:
        """Follows a target no longer."""
        self._portal.run(self._inner.end(target))

    def detected(self, xywh: Boxes | None = None, **told: Any) -> int:
        """Tells what a detector found in one frame."""
        return self._portal.run(self._inner.detected(xywh, **told))


class Video:
    """A video that a server works on."""

    def __init__(self, portal: Portal, inner: AsyncVideo) -> None:
        self._portal = portal
        self._inner = inner

    @property
    def id(self) -> str:
        """The job's id."""
        return self._inner.id

    @property
    def info(self) -> VideoInfo:
        """As it was when it was last asked about."""
        return self._inner.info

    def refresh(self) -> VideoInfo:
        """Asks how far it is."""
        return self._portal.run(self._inner.refresh())

    def wait(self, on_progress: Callable[[VideoInfo], None] | None = None) -> VideoInfo:
        """Waits until it is done; raises what it failed with."""
        return self._portal.run(self._inner.wait(on_progress))

    def download(self, path: str | Path, name: str | None = None) -> Path:
        """Saves a result, whole or not at all; without a name the first one."""
        return self._portal.run(self._inner.download(path, name))

    def cancel(self) -> VideoInfo:
        """Stops the work on it; its record stays."""
        return self._portal.run(self._inner.cancel())

    def delete(self) -> None:
        """Stops it, and has the server forget it together with its files."""
        self._portal.run(self._inner.delete())


class Client:
    """A server at an address. Arguments and errors of everything here: as those of `AsyncClient`."""

    def __init__(self, address: str = "http://127.0.0.1:8000", **options: Any) -> None:
        self._portal = Portal()
        try:
            self._inner = self._portal.run(_make(address, options))
        except BaseException:
            self._portal.close()
            raise

    def open(self, model: str | None = None, frame: FrameLike | None = None, **options: Any) -> Stream:
        """Opens a session of any model, over WebSocket."""
        return Stream(self._portal, self._portal.run(self._inner.open(model, frame, **options)))

    def track(self, frame: FrameLike, box: BoxLike, **options: Any) -> Stream:
        """Follows what the box holds in the first frame."""
        return Stream(self._portal, self._portal.run(self._inner.track(frame, box, **options)))

    def interpolate(self, factor: float | None = None, **options: Any) -> Stream:
        """Makes ``factor`` frames out of one."""
        return Stream(self._portal, self._portal.run(self._inner.interpolate(factor, **options)))

    def resume(self, session_id: str, **options: Any) -> Stream:
        """Goes on with an open session."""
        return Stream(self._portal, self._portal.run(self._inner.resume(session_id, **options)))

    def open_by_request(
        self, model: str | None = None, frame: FrameLike | None = None, **options: Any
    ) -> RestSession:
        """Opens a session whose frames go by one HTTP request each."""
        inner = self._portal.run(self._inner.open_by_request(model, frame, **options))
        return RestSession(self._portal, inner)

    def track_by_request(self, frame: FrameLike, box: BoxLike, **options: Any) -> RestSession:
        """As ``track``, with a request for each frame."""
        inner = self._portal.run(self._inner.track_by_request(frame, box, **options))
        return RestSession(self._portal, inner)

    def sessions(self) -> list[SessionInfo]:
        """Those that are open."""
        return self._portal.run(self._inner.sessions())

    def session(self, session_id: str) -> SessionInfo:
        """One of them."""
        return self._portal.run(self._inner.session(session_id))

    def end(self, session_id: str) -> None:
        """Ends a session and frees its slot."""
        self._portal.run(self._inner.end(session_id))

    def correct(self, session_id: str, box: BoxLike) -> None:
        """Puts right where a session's target is in the frame that was answered last; the id stays."""
        self._portal.run(self._inner.correct(session_id, box))

    def snapshot(self, session_id: str) -> bytes:
        """A session as one blob."""
        return self._portal.run(self._inner.snapshot(session_id))

    def restore(self, session_id: str, blob: bytes) -> SessionInfo:
        """Makes ``session_id`` the session of a blob; ``resume`` then goes on with it."""
        return self._portal.run(self._inner.restore(session_id, blob))

    def source(self, name: str) -> Source:
        """A live source, by its name."""
        return Source(self._portal, self._inner.source(name))

    def upload(self, path: str | Path, **options: Any) -> Video:
        """Hands over a whole video: to be tracked from ``box``, or made ``factor`` times as smooth."""
        return Video(self._portal, self._portal.run(self._inner.upload(path, **options)))

    def videos(self) -> list[VideoInfo]:
        """All jobs of the server."""
        return self._portal.run(self._inner.videos())

    def video(self, video_id: str) -> Video:
        """A job by its id."""
        return Video(self._portal, self._portal.run(self._inner.video(video_id)))

    def is_ready(self) -> bool:
        """Whether there is a server that takes requests."""
        return self._portal.run(self._inner.is_ready())

    def close(self) -> None:
        """Closes all connections. Closing twice is harmless."""
        if not self._portal.loop.is_closed():
            self._portal.run(self._inner.close())
            self._portal.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


async def _make(address: str, options: dict[str, Any]) -> AsyncClient:
    return AsyncClient(address, **options)


async def _next(answers: Any) -> Any:
    return await anext(answers, _END)
