"""Streams whose key is no longer good are closed"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator

from starlette.types import Send

from ..errors import AccessError
from ..wire import Failure, encode_message
from .keys import ApiKeys, Key
from .problems import close_code_of

_ERROR = AccessError("the API key is no longer one of this server's", "connect again with another one")


class Revoked:
    """The streams that are open, by key. Lives on the event loop."""

    def __init__(self) -> None:
        self._open: dict[object, tuple[Key, Send]] = {}
        self._closing: set[asyncio.Task[None]] = set()

    @contextlib.contextmanager
    def listens(self, key: Key | None, send: Send) -> Iterator[None]:
        """While a stream is open that came with this key."""
        mark = object()
        if key is not None:
            self._open[mark] = key, send
        try:
            yield
        finally:
            self._open.pop(mark, None)

    def check(self, keys: ApiKeys) -> int:
        """Closes the streams of keys that are gone, and returns how many there were."""
        gone = [mark for mark, (key, _) in self._open.items() if not keys.has(key)]
        for mark in gone:
            task = asyncio.ensure_future(_close(self._open.pop(mark)[1]))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)
        return len(gone)


async def _close(send: Send) -> None:
    with contextlib.suppress(RuntimeError, OSError):  # it is closed by now
        await send({"type": "websocket.send", "text": encode_message(Failure.of(_ERROR, closing=True))})
        await send({"type": "websocket.close", "code": close_code_of(_ERROR), "reason": "AccessError"})
