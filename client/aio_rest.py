"""What goes by HTTP requests: a session one frame at a time, and whole videos as jobs"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote

from ..errors import OptionError, RunError
from ..wire import Picture
from .aio_streams import answer_in
from .http import Http, json_of, record
from .parts import reply_in
from .pictures import FrameLike, Numbering
from .problems import problem_in
from .records import SessionInfo, VideoInfo

if TYPE_CHECKING:
    import httpx2

CHUNK = 2**18


class AsyncRestSession:
    """One session, each frame by a request of its own. Answers and errors: as ``AsyncStream``."""

    def __init__(self, http: Http, numbering: Numbering) -> None:
        self._http = http
        self._numbering = numbering
        self._order = asyncio.Lock()
        self.info: SessionInfo

    @property
    def id(self) -> str:
        """The session's id."""
        return self.info.session

    async def open(self, frame: FrameLike | None, session_id: str | None, params: Mapping[str, Any]) -> None:
        """Opens the session; ``AsyncClient.open_by_request`` calls it."""
        headers = {} if session_id is None else {"x-session-id": session_id}
        if frame is None:
            answer = await self._http.send("POST", "/v1/sessions", params=params, headers=headers)
        else:
            answer = await self._send("/v1/sessions", await self._picture(frame), params, headers)
        self.info = record(SessionInfo, json_of(answer))

    async def push(self, frame: FrameLike) -> Any:
        """The answer to the next frame."""
        async with self._order:
            picture = await self._picture(frame)
            answer = await self._send(f"/v1/sessions/{quote(self.id)}/frames", picture, {}, {})
        reply = reply_in(answer.headers.get("content-type", ""), answer.content)
        return await answer_in(reply)

    async def close(self) -> None:
        """Ends the session."""
        await self._http.send("DELETE", f"/v1/sessions/{quote(self.id)}")

    async def _picture(self, frame: FrameLike) -> Picture:
        picture = await asyncio.to_thread(self._numbering.picture, frame)
        if picture.encoding == "rgb":
            raise OptionError("raw rgb cannot be sent by a request", "Choose jpeg, png or webp.")
        return picture

    async def _send(
        self, path: str, picture: Picture, params: Mapping[str, Any], headers: Mapping[str, str]
    ) -> httpx2.Response:
        time_base = f"{picture.time_base.numerator}/{picture.time_base.denominator}"
        timed = {**params, "pts": picture.pts, "time_base": time_base, "index": picture.index}
        headers = {**headers, "content-type": f"image/{picture.encoding}"}
        return await self._http.send("POST", path, params=timed, body=picture.payload, headers=headers)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


class AsyncVideo:
    """A video that a server works on.

    Attributes:
        info: as it was when it was last asked about.
    """

    def __init__(self, http: Http, info: VideoInfo) -> None:
        self._http = http
        self.info = info

    @classmethod
    async def upload(cls, http: Http, path: Path, params: Mapping[str, Any]) -> AsyncVideo:
        """Sends a file piece by piece; ``AsyncClient.upload`` calls it."""
        if not path.is_file():
            raise OptionError(f"there is no file {path}", "Give the path of a video.")
        headers = {"content-type": "application/octet-stream", "content-length": str(path.stat().st_size)}
        answer = await http.send("POST", "/v1/videos", params=params, body=_pieces(path), headers=headers)
        return cls(http, record(VideoInfo, json_of(answer)))

    @classmethod
    async def find(cls, http: Http, video_id: str) -> AsyncVideo:
        """One that is there already."""
        return cls(http, record(VideoInfo, json_of(await http.send("GET", _video(video_id)))))

    @property
    def id(self) -> str:
        """The job's id."""
        return self.info.id

    async def refresh(self) -> VideoInfo:
        """Asks how far it is."""
        self.info = record(VideoInfo, json_of(await self._http.send("GET", _video(self.id))))
        return self.info

    async def wait(
        self, on_progress: Callable[[VideoInfo], None] | None = None, *, every_s: float = 0.25
    ) -> VideoInfo:
        """Waits until it is done, telling ``on_progress`` how far it is.

        Raises:
            RunError: it was cancelled.
            FramestateError: it failed, with what the server says about it.
        """
        while not (await self.refresh()).is_over:
            if on_progress is not None:
                on_progress(self.info)
            await asyncio.sleep(every_s)
        if on_progress is not None:
            on_progress(self.info)
        if self.info.state == "failed":
            raise problem_in(500, json.dumps(self.info.error).encode())
        if self.info.state == "cancelled":
            raise RunError(f"video {self.id} was cancelled", "Upload it again.")
        return self.info

    async def download(self, path: str | Path, name: str | None = None) -> Path:
        """Saves a result, whole or not at all; without a name the first one.

        Raises:
            OptionError: there is no result.
            RunError: the file cannot be written.
        """
        target = Path(path)
        if name is None and not self.info.results:
            raise OptionError(f"video {self.id} has no result yet", "Wait until it is done.")
        url = f"{_video(self.id)}/results/{quote(name or self.info.results[0], safe='')}"
        temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}.part")
        try:
            async with self._http.client.stream("GET", url) as answer:
                if answer.status_code >= 400:
                    raise problem_in(answer.status_code, await answer.aread())
                with temporary.open("xb") as file:
                    async for chunk in answer.aiter_bytes():
                        await asyncio.to_thread(file.write, chunk)
            os.replace(temporary, target)
        except self._http.errors as error:
            raise self._http.away(error) from error
        except OSError as error:
            raise RunError(f"{target} cannot be written ({error.strerror})", "Check its folder.") from error
        finally:
            temporary.unlink(missing_ok=True)
        return target

    async def cancel(self) -> VideoInfo:
        """Stops the work on it; its record stays. Raises SessionError or RequestError when it is over."""
        self.info = record(VideoInfo, json_of(await self._http.send("POST", f"{_video(self.id)}/cancel")))
        return self.info

    async def delete(self) -> None:
        """Stops it, and has the server forget it together with its files."""
        await self._http.send("DELETE", _video(self.id))


async def _pieces(path: Path) -> AsyncIterator[bytes]:
    with path.open("rb") as file:
        while piece := await asyncio.to_thread(file.read, CHUNK):
            yield piece


def _video(video_id: str) -> str:
    return f"/v1/videos/{quote(video_id, safe='')}"
