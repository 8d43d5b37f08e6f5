"""An id for each request and stream: in the answer, and in every line of the log that belongs to it"""

from __future__ import annotations

import re
import uuid
from contextvars import ContextVar

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADER = "x-request-id"
CURRENT: ContextVar[str] = ContextVar("framestate_request")
"""The id of what is handled in this task, and in those that it starts."""
_GOOD = re.compile(r"[A-Za-z0-9_.-]{1,64}")


class RequestIds:
    """ASGI middleware: takes the sender's id (a proxy's, for instance) where it is a word, or draws one."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hands on the request."""
        if scope["type"] not in ("http", "websocket"):
            return await self._app(scope, receive, send)
        given = Headers(scope=scope).get(HEADER, "")
        key = given if _GOOD.fullmatch(given) else uuid.uuid4().hex

        async def sending(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.accept"):
                message.setdefault("headers", [])  # a refused stream is accepted without any
                MutableHeaders(scope=message)[HEADER] = key
            await send(message)

        token = CURRENT.set(key)
        try:
            await self._app(scope, receive, sending)
        finally:
            CURRENT.reset(token)
