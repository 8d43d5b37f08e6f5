"""`AsyncClient`: a server's sessions, videos and health, for event loops"""

from __future__ import annotations

import json
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

from ..errors import OptionError, UnavailableError, UnknownSessionError
from ..vision import Box
from ..wire import VERSION, Encoding, Hello, Open
from .address import Address
from .aio_rest import AsyncRestSession, AsyncVideo
from .aio_sources import AsyncSource
from .aio_streams import AsyncStream
from .boxes import BoxLike, numbers_of, text_of
from .http import Http, json_of, record
from .link import Link, LinkOptions
from .pictures import EncodeOptions, FrameLike, Numbering
from .records import SessionInfo, VideoInfo


class AsyncClient:
    """A server at an address.

    Args:
        address: such as ``http://127.0.0.1:8000``.
        api_key: where the server wants one.
        encoding: of images: ``jpeg`` (small, lossy), ``webp``, ``png`` (exact), ``rgb`` (exact, fast).
        quality: 1 to 100, of jpeg and webp.
        reconnect_s: for how long a lost stream is tried anew; 0 never does.
        timeout_s: for how long an answer over HTTP is waited for.

    Raises:
        OptionError: one of these cannot be.
    """

    def __init__(
        self,
        address: str = "http://127.0.0.1:8000",
        *,
        api_key: str | None = None,
        encoding: Encoding = "jpeg",
        quality: int = 92,
        reconnect_s: float = 30.0,
        timeout_s: float = 60.0,
    ) -> None:
        self._address = Address.parse(address, api_key)
        self._images = EncodeOptions(encoding, quality)
        if not (reconnect_s >= 0 and timeout_s > 0):
            raise OptionError(
                f"reconnect_s is {reconnect_s!r} and timeout_s {timeout_s!r}", "Give seconds, 0 or more."
            )
        self._link = LinkOptions(reconnect_s)
        self._http = Http(self._address, timeout_s)

    # Sessions over WebSocket

    async def open(
        self,
        model: str | None = None,
        frame: FrameLike | None = None,
        *,
        task: str | None = None,
        session_id: str = "new",
        policy: str | None = None,
        deadline_ms: float | None = None,
        queue: int | None = None,
        rate: float = 30.0,
        encoding: Encoding | None = None,
        quality: int = 90,
        **options: Any,
    ) -> AsyncStream:
        """Opens a session of any model, over WebSocket.

        Args:
            model: its name; without it the first one for ``task``, or the server's first.
            frame: the first frame, for a task that opens on one: a ``Frame``, an image (RGB uint8, height x
                width x 3), or the bytes of an image file.
            session_id: 1 to 64 letters, digits, - and _; the server draws one without.
            policy, deadline_ms, queue: the server's defaults where not given.
            rate: frames a second of images without a time.
            encoding, quality: of pictures in answers; without them, as images are sent.
            options: what the task takes, such as ``box``, ``factor``, ``smoothing``.

        Raises:
            OptionError, BoxError, FrameError, ImageError: an option or the frame cannot be used.
            CapacityError: the server has no slot left.
            UnavailableError: there is no server.
        """
        opening = Open(_plain(options), policy, deadline_ms, queue)
        hello = self._hello(model, task, encoding, quality)
        link = Link(self._address, session_id, hello, self._link)
        welcome = await link.start()
        stream = AsyncStream(link, Numbering(self._images, rate))
        try:
            if welcome.resumed:
                raise OptionError(
                    f"session {session_id!r} is open already", "Resume it, or choose another id."
                )
            return await stream.open(frame, opening)
        except BaseException:
            await stream.abandon()
            raise

    async def track(
        self, frame: FrameLike, box: BoxLike, *, model: str | None = None, **options: Any
    ) -> AsyncStream:
        """Follows what the box (x, y, width, height in pixels) holds in the first frame. See ``open``."""
        return await self.open(model, frame, task="tracking", box=numbers_of(box), **options)

    async def interpolate(
        self, factor: float | None = None, *, model: str | None = None, **options: Any
    ) -> AsyncStream:
        """Makes ``factor`` frames out of one, or as the other options say. See ``open``."""
        given = options if factor is None else {"factor": factor, **options}
        return await self.open(model, task="interpolation", **given)

    async def resume(
        self,
        session_id: str,
        *,
        token: str | None = None,
        rate: float = 30.0,
        encoding: Encoding | None = None,
        quality: int = 90,
    ) -> AsyncStream:
        """Goes on with an open session. Its ``frames_lost`` counts from what the server remembers.

        With the ``token`` of its stream it is taken over also from a connection that died unseen.

        Raises:
            UnknownSessionError: the server has none of this id.
            SessionBusyError: somebody else is connected to it.
        """
        hello = replace(self._hello(None, None, encoding, quality), token=token)
        link = Link(self._address, session_id, hello, self._link)
        welcome = await link.start()
        if not welcome.resumed:
            await link.abandon()
            raise UnknownSessionError(f"there is no session {session_id!r}", "Open a new one.")
        numbering = Numbering(self._images, rate)
        if welcome.last_index is not None:
            numbering.skip_to(welcome.last_index)
        return AsyncStream(link, numbering)

    def _hello(self, model: str | None, task: str | None, encoding: Encoding | None, quality: int) -> Hello:
        return Hello(VERSION, model, task, None, encoding or self._images.encoding, quality)

    # Sessions over HTTP

    async def open_by_request(
        self,
        model: str | None = None,
        frame: FrameLike | None = None,
        *,
        task: str | None = None,
        session_id: str | None = None,
        policy: str = "WAIT",
        rate: float = 30.0,
        **options: Any,
    ) -> AsyncRestSession:
        """Opens a session whose frames go by one HTTP request each. Options and errors: as ``open``."""
        session = AsyncRestSession(self._http, Numbering(self._images, rate))
        params = {"model": model, "task": task, "policy": policy, "options": json.dumps(_plain(options))}
        await session.open(frame, session_id, params)
        return session

    async def track_by_request(
        self, frame: FrameLike, box: BoxLike, *, model: str | None = None, **options: Any
    ) -> AsyncRestSession:
        """As ``track``, with a request for each frame."""
        return await self.open_by_request(model, frame, task="tracking", box=numbers_of(box), **options)

    async def sessions(self) -> list[SessionInfo]:
        """Those that are open."""
        table = json_of(await self._http.send("GET", "/v1/sessions"))
        return [record(SessionInfo, one) for one in table.get("sessions", [])]

    async def session(self, session_id: str) -> SessionInfo:
        """One of them. Raises UnknownSessionError."""
        return record(SessionInfo, json_of(await self._http.send("GET", _session(session_id))))

    async def end(self, session_id: str) -> None:
        """Ends a session and frees its slot. Raises UnknownSessionError."""
        await self._http.send("DELETE", _session(session_id))

    async def correct(self, session_id: str, box: BoxLike) -> None:
        """Puts right where a session's target is in the frame that was answered last; the id stays.

        Raises BoxError, UnknownSessionError; OptionError where the session follows no target.
        """
        await self._http.send("POST", f"{_session(session_id)}/correction", params={"box": text_of(box)})

    async def snapshot(self, session_id: str) -> bytes:
        """A session as one blob, which ``restore`` goes on from, on this server or another."""
        return (await self._http.send("GET", f"{_session(session_id)}/snapshot")).content

    async def restore(self, session_id: str, blob: bytes) -> SessionInfo:
        """Makes ``session_id`` the session of a blob; ``resume`` then goes on with it.

        Raises:
            StateError: the blob is damaged, or of another model. Nothing is changed.
        """
        answer = await self._http.send("PUT", f"{_session(session_id)}/snapshot", body=blob)
        return record(SessionInfo, json_of(answer))

    def source(self, name: str) -> AsyncSource:
        """A live source, by its name."""
        return AsyncSource(self._http, name)

    # Videos

    async def upload(
        self,
        path: str | Path,
        *,
        model: str | None = None,
        task: str | None = None,
        box: BoxLike | None = None,
        annotate: bool = False,
        **options: Any,
    ) -> AsyncVideo:
        """Hands over a whole video: to be tracked from ``box`` in its first frame (with ``annotate``, also
        as a video with the box drawn in), or for another model and what its task takes, such as ``factor``.

        Raises:
            OptionError: the model's task does not take what is given, or there is no such file.
        """
        if task is None and model is None:
            task = "tracking" if box is not None else "interpolation" if "factor" in options else None
        params: dict[str, Any] = {"task": task, "model": model, "options": json.dumps(_plain(options))}
        if box is not None:
            params |= {"box": text_of(box), "annotate": annotate or None}
        return await AsyncVideo.upload(self._http, Path(path), params)

    async def videos(self) -> list[VideoInfo]:
        """All jobs of the server."""
        table = json_of(await self._http.send("GET", "/v1/videos"))
        return [record(VideoInfo, one) for one in table.get("videos", [])]

    async def video(self, video_id: str) -> AsyncVideo:
        """A job by its id. Raises UnknownItemError."""
        return await AsyncVideo.find(self._http, video_id)

    async def is_ready(self) -> bool:
        """Whether there is a server that takes requests."""
        try:
            await self._http.send("GET", "/v2/health/ready")
        except UnavailableError:
            return False
        return True

    async def close(self) -> None:
        """Closes the connections over HTTP; streams go on until they are closed."""
        await self._http.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


def _plain(options: dict[str, Any]) -> dict[str, Any]:
    """Options as JSON has them: a box is four numbers, a fraction a text."""
    given = {name: list(one.xywh) if isinstance(one, Box) else one for name, one in options.items()}
    return {name: str(one) if isinstance(one, Fraction) else one for name, one in given.items()}


def _session(session_id: str) -> str:
    return f"/v1/sessions/{quote(session_id, safe='')}"
