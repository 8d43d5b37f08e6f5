"""Request bodies: counted and timed while they arrive, so that nobody can send too much or for too long."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

from fastapi import Request
from starlette.requests import ClientDisconnect

from ..errors import RequestError, TooLargeError, TooSlowError

DRAIN_S, DRAIN_PAUSE_S = 2.0, 0.2
"""How long a body that is not wanted is read on; and how long nothing may come before that ends."""


async def chunks(
    request: Request, limit: int, seconds: float, rate: int | None = None
) -> AsyncIterator[bytes]:
    """The body piece by piece.

    Args:
        limit: bytes in all; a Content-Length above it is refused before anything is read.
        seconds: for all of it to arrive.
        rate: bytes a second that buy more time, for bodies of any length.

    Raises:
        TooLargeError, TooSlowError, RequestError: see above; the last when the sender went away, or sent
            a form, or a body that is compressed.
    """
    stream = request.stream().__aiter__()
    if request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        await drain(stream)
        raise RequestError(
            "the body is a form with files in it", "send the file itself, as curl --data-binary @FILE does"
        )
    coding = request.headers.get("content-encoding", "identity").strip().lower()
    if coding not in ("", "identity"):
        await drain(stream)
        raise RequestError(f"the body is encoded ({coding[:40]!r})", "send it without Content-Encoding")
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limit:
        await drain(stream)
        raise too_large(int(declared), limit)
    loop = asyncio.get_running_loop()
    began, count = loop.time(), 0
    while True:
        allowed = seconds + (count / rate if rate else 0.0)
        try:
            async with asyncio.timeout_at(began + allowed):
                chunk = await anext(stream, None)
        except TimeoutError:
            raise TooSlowError(
                f"the body had {count} bytes after {allowed:.0f} s, and was not complete", "send it faster"
            ) from None
        except ClientDisconnect:
            raise RequestError(f"the sender went away after {count} bytes", "send it again") from None
        if chunk is None:
            return
        count += len(chunk)
        if count > limit:
            await drain(stream)
            raise too_large(count, limit)
        if chunk:
            yield chunk


async def drain(stream: AsyncIterator[bytes]) -> None:
    """Throws away what is on its way: closing before that resets the connection, and the answer is lost."""
    with contextlib.suppress(TimeoutError, ClientDisconnect):
        async with asyncio.timeout(DRAIN_S):
            while await asyncio.wait_for(anext(stream, None), DRAIN_PAUSE_S) is not None:
                pass


async def read_body(request: Request, limit: int, seconds: float) -> bytes:
    """The whole body. Raises as ``chunks`` does, and RequestError when there is none."""
    body = b"".join([chunk async for chunk in chunks(request, limit, seconds)])
    if not body:
        raise RequestError("the body is empty", "send what the call needs in it")
    return body


async def refuse_body(request: Request, seconds: float, problem: str, remedy: str) -> None:
    """Raises RequestError where something was sent that nobody would look at."""
    stream = chunks(request, 0, seconds)
    try:
        await anext(stream, None)
    except TooLargeError:
        raise RequestError(problem, remedy) from None


async def save_body(request: Request, path: Path, limit: int, seconds: float, rate: int) -> int:
    """Writes the body into a file and returns its size; on an error no file is left."""
    count = 0
    try:
        with path.open("xb") as file:
            async for chunk in chunks(request, limit, seconds, rate):
                await asyncio.to_thread(file.write, chunk)
                count += len(chunk)
        if not count:
            raise RequestError("the body is empty", "send a video in it")
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return count


def too_large(count: int, limit: int) -> TooLargeError:
    """What a body that is too long is answered with."""
    return TooLargeError(f"the body has {count} bytes or more, and the limit is {limit}", "send less")
