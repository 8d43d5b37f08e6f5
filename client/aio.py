"""`AsyncClient`: a server's sessions, videos and health, for event loops"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

from ..errors import OptionError, UnavailableError, UnknownSessionError
from ..vision import Box
from .address import Address
from .aio_rest import AsyncRestTarget, AsyncVideo
from .aio_streams import AsyncInterpolation, AsyncTarget
from .http import Http, json_of, record
from .link import Link, LinkOptions
from .messages import Encoding, Hello, Interpolate, Open
from .pictures import EncodeOptions, FrameLike, Numbering
from .records import SessionInfo, VideoInfo
from .wire import VERSION

BoxLike = Box | Sequence[float]


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

    # Streams

    async def track(
        self,
        frame: FrameLike,
        box: BoxLike,
        *,
        session_id: str = "new",
        model: str | None = None,
        policy: str | None = None,
        deadline_ms: float | None = None,
        queue: int | None = None,
        rate: float = 30.0,
    ) -> AsyncTarget:
        """Opens a session on what the box holds in the first frame, over WebSocket.

        Args:
            frame: a ``Frame``, an image (RGB uint8, height x width x 3), or the bytes of an image file.
            box: x, y, width, height in pixels.
            session_id: 1 to 64 letters, digits, - and _; the server draws one without.
            model, policy, deadline_ms, queue: the server's defaults where not given.
            rate: frames a second of images without a time.

        Raises:
            BoxError, FrameError, ImageError: the box or the frame cannot be used.
            CapacityError: the server has no slot left.
            UnavailableError: there is no server.
        """
        opening = Open(_numbers(box), policy, deadline_ms, queue)
        link = Link(self._address, session_id, Hello(VERSION, "tracking", model), self._link)
        welcome = await link.start()
        target = AsyncTarget(link, Numbering(self._images, rate))
        try:
            if welcome.resumed:
                raise OptionError(
                    f"session {session_id!r} is open already", "Resume it, or choose another id."
                )
            return await target.open(frame, opening)
        except BaseException:
            await target.abandon()
            raise

    async def resume(self, session_id: str, *, rate: float = 30.0) -> AsyncTarget:
        """Goes on with an open session. Its ``frames_lost`` counts from what the server remembers.

        Raises:
            UnknownSessionError: the server has none of this id.
            SessionBusyError: somebody else is connected to it.
        """
        link = Link(self._address, session_id, Hello(VERSION), self._link)
        welcome = await link.start()
        if not welcome.resumed or welcome.last_index is None:
            await link.abandon()
            raise UnknownSessionError(f"there is no session {session_id!r}", "Open a new one.")
        numbering = Numbering(self._images, rate)
        numbering.skip_to(welcome.last_index)
        return AsyncTarget(link, numbering)

    async def interpolate(
        self,
        factor: int = 2,
        *,
        model: str | None = None,
        encoding: Encoding | None = None,
        quality: int = 90,
        rate: float = 30.0,
    ) -> AsyncInterpolation:
        """Opens a session that makes ``factor`` frames out of one, which come back in ``encoding``."""
        opening = Interpolate(factor, encoding or self._images.encoding, quality)
        link = Link(self._address, "new", Hello(VERSION, "interpolation", model), self._link)
        await link.start()
        return AsyncInterpolation(link, Numbering(self._images, rate), opening)

    # Sessions over HTTP

    async def track_by_request(
        self,
        frame: FrameLike,
        box: BoxLike,
        *,
        session_id: str | None = None,
        model: str | None = None,
        policy: str = "WAIT",
        rate: float = 30.0,
    ) -> AsyncRestTarget:
        """Opens a session whose frames go by one HTTP request each. Options and errors: as ``track``."""
        target = AsyncRestTarget(self._http, Numbering(self._images, rate))
        await target.open(frame, session_id, {"box": _text(box), "model": model, "policy": policy})
        return target

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

    # Videos

    async def upload(
        self,
        path: str | Path,
        *,
        box: BoxLike | None = None,
        factor: int | None = None,
        model: str | None = None,
        annotate: bool = False,
    ) -> AsyncVideo:
        """Hands over a whole video: to be tracked from ``box`` in its first frame (with ``annotate``, also
        as a video with the box drawn in), or to be given ``factor`` times the frames.

        Raises:
            OptionError: neither or both are given, or there is no such file.
        """
        if (box is None) == (factor is None):
            raise OptionError(f"the box is {box!r} and the factor {factor!r}", "Give one of them.")
        params: dict[str, Any] = {"task": "interpolation", "factor": factor, "model": model}
        if box is not None:
            params = {"task": "tracking", "box": _text(box), "annotate": annotate or None, "model": model}
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


def _numbers(box: BoxLike) -> tuple[float, float, float, float]:
    """Four numbers; the wire checks them."""
    numbers = box.xywh if isinstance(box, Box) else tuple(box)
    return numbers  # type: ignore[return-value]


def _text(box: BoxLike) -> str:
    """As a query has it, without exponents."""
    return ",".join(f"{number:.12f}".rstrip("0").rstrip(".") for number in _numbers(box))


def _session(session_id: str) -> str:
    return f"/v1/sessions/{quote(session_id, safe='')}"
