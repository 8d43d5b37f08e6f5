"""`Membership`: ASGI middleware of a server in a cluster: its own sessions pass, the others go elsewhere"""

from __future__ import annotations

import hmac
import re
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from ..engine.session_options import check_id
from ..errors import FramestateError, OptionError
from ..server.access import refuse_stream
from ..server.bodies import read_body
from ..server.problems import problem_of
from .member import Member
from .moves import Misdirected
from .peers import INDEX, MODEL, NEW, PREFIX, TOKEN

SESSION_PATH = re.compile(r"/v1/sessions/([A-Za-z0-9_-]{1,64})(?:/(?:frames|snapshot|stream))?")
OPENING_PATH = "/v1/sessions"
MISDIRECTED = HTTPStatus.MISDIRECTED_REQUEST
BODY_S = 15.0


def session_of(scope: Scope) -> str | None:
    """The session that a request is about: in its path, or in ``x-session-id`` of one that opens it."""
    found = SESSION_PATH.fullmatch(scope["path"])
    if found:
        return found[1]
    if scope["path"] == OPENING_PATH and scope.get("method") == "POST":
        key = Headers(scope=scope).get("x-session-id", "")
        return key if SESSION_PATH.fullmatch(f"{OPENING_PATH}/{key}") else None
    return None


class Membership:
    """Stands in front of everything else of a server.

    Args:
        member: whose sessions.
        token: the secret of the cluster; without it, nobody is another server.
        most_bytes: of a blob.
    """

    def __init__(self, app: ASGIApp, member: Member, token: str, most_bytes: int) -> None:
        self.app = app
        self._member = member
        self._token = token.encode()
        self._most_bytes = most_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hands on what belongs here, as soon as it is here."""
        if scope["type"] not in ("http", "websocket"):
            return await self.app(scope, receive, send)
        if scope["type"] == "http" and scope["path"].startswith(PREFIX):
            return await (await self._peer(Request(scope, receive)))(scope, receive, send)
        key = session_of(scope)
        if key is None:
            return await self.app(scope, receive, send)
        is_new = Headers(scope=scope).get(NEW) == "1"
        try:
            await self._member.ensure(key, is_new=is_new)
        except Misdirected:
            return await misdirect(scope, send)
        except FramestateError as error:
            if scope["type"] == "websocket":
                return await refuse_stream(error, scope, receive, send)
            return await problem_of(error)(scope, receive, send)
        if scope["type"] == "websocket":
            return await self.app(scope, receive, send)
        busy = self._member.busy
        busy[key] = busy.get(key, 0) + 1
        try:
            await self.app(scope, receive, send)
        finally:
            busy[key] -= 1
            if not busy[key]:
                del busy[key]

    async def _peer(self, request: Request) -> Response:
        """Another server takes or brings a session."""
        if not hmac.compare_digest(request.headers.get(TOKEN, "").encode(), self._token):
            return Response(status_code=HTTPStatus.NOT_FOUND)
        try:
            key = check_id(request.scope["path"].removeprefix(PREFIX))
            if request.method == "POST":
                gone = await self._member.give(key)
                return Response(status_code=HTTPStatus.NO_CONTENT if gone else HTTPStatus.CONFLICT)
            blob = await read_body(request, self._most_bytes, BODY_S)
            index = request.headers.get(INDEX, "")
            if not index.isdecimal():
                raise OptionError(f"the session has come to {index[:20]!r}", "send a number")
            await self._member.take(key, request.headers.get(MODEL, ""), int(index), blob)
            return Response(status_code=HTTPStatus.NO_CONTENT)
        except FramestateError as error:
            return problem_of(error)


async def misdirect(scope: Scope, send: Send) -> None:
    """Tells the front to look again for the owner; a WebSocket is not even accepted."""
    kind = "websocket.http.response" if scope["type"] == "websocket" else "http.response"
    await send({"type": f"{kind}.start", "status": MISDIRECTED, "headers": [(b"content-length", b"0")]})
    await send({"type": f"{kind}.body", "body": b""})
