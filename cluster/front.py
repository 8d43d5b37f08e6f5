"""`create_front`: the address of a cluster: hands every request on to the server that owns its session"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from ..errors import FramestateError, UnavailableError
from ..server.access import refuse_stream
from ..server.bodies import read_body
from ..server.problems import problem_of
from .front_lists import is_list, merged, whose_video
from .front_stream import relay
from .membership import MISDIRECTED, OPENING_PATH, session_of
from .peers import INDEX, MODEL, NEW, PREFIX, TOKEN, http_client
from .routes import Attempts, Routes
from .view import DirectoryLink, MemberInfo

if TYPE_CHECKING:
    import httpx2

HOP = frozenset(
    b"connection keep-alive proxy-authenticate proxy-authorization te trailers transfer-encoding "
    b"upgrade".split()
)
"""Headers that are between two neighbours, and not handed on."""
INTERNAL = frozenset(name.encode() for name in (TOKEN, MODEL, INDEX, NEW))
SAID = frozenset({b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"forwarded"})
"""What proxies said; the front has heard those that it trusts, and says itself what is so."""
BODY_S = 30.0
NEW_STREAM = "/v1/sessions/new/stream"


class Front:
    """ASGI application in front of a cluster. It holds nothing: any number of them may run side by side.

    Args:
        directory: where the servers are to be found.
        max_frame_bytes: of a request about a session; videos go through as they come.
    """

    def __init__(self, directory: DirectoryLink, *, max_frame_bytes: int) -> None:
        self.routes = Routes(directory)
        self._most_bytes = max_frame_bytes
        self._http = http_client(None)

    async def start(self) -> None:
        """Looks for servers, and keeps looking."""
        await self.routes.start()

    async def stop(self) -> None:
        """Closes what is open."""
        self.routes.stop()
        await self._http.aclose()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hands one request or stream on."""
        try:
            if scope["type"] == "websocket":
                return await self._stream(scope, receive, send)
            response = await self._answer(Request(scope, receive))
        except FramestateError as error:
            if scope["type"] == "websocket":
                return await refuse_stream(error, scope, receive, send)
            response = problem_of(error)
        except ClientDisconnect:
            return
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        path, view = request.scope["path"], await self.routes.known()
        headers = handed_on(request.scope)
        key = session_of(request.scope)
        if path.startswith(PREFIX):
            return Response(status_code=404)
        if path == OPENING_PATH and request.method == "POST" and key is None:
            if "x-session-id" not in request.headers:  # what is no id is for the server to refuse
                key = self.routes.admission.place(view)
                headers += [(b"x-session-id", key.encode()), (NEW.encode(), b"1")]
        elif key is not None and path == OPENING_PATH:
            self.routes.admission.check(view)
        if key is not None:
            return await self._owned(request, key, headers)
        if is_list(request):
            return await merged(self._http, view, request, headers)
        member = await whose_video(self._http, view, request, headers) or self.routes.any()
        return await self._passed(request, member, headers)

    async def _owned(self, request: Request, key: str, headers: list[tuple[bytes, bytes]]) -> Response:
        """What the owner of a session answers; whoever turns out not to be it has done nothing."""
        carries = has_body(request.headers)
        body = await read_body(request, self._most_bytes, BODY_S) if carries else b""
        attempts = Attempts(self.routes, key)
        async for owner in attempts:
            answer = await self._asked(request, owner, headers, body)
            if answer is not None and answer.status_code != MISDIRECTED:
                return handed_back(answer)
            if answer is None:
                await self.routes.suspect(owner)
            attempts.give_up()
        raise AssertionError("the attempts end by an error")

    async def _asked(
        self, request: Request, owner: MemberInfo, headers: list[tuple[bytes, bytes]], body: bytes
    ) -> httpx2.Response | None:
        """The answer of a server; None when it cannot be connected to. Raises UnavailableError."""
        import httpx2

        try:
            return await self._http.request(
                request.method, address_of(owner, request.scope), headers=headers, content=body
            )
        except httpx2.ConnectError:
            return None
        except httpx2.HTTPError as error:
            if request.method in ("GET", "HEAD"):
                return None
            why = str(error) or type(error).__name__
            raise UnavailableError(
                f"the session's server ended while it worked on this ({why})",
                "send the frame again: the session goes on from its last snapshot",
            ) from error

    async def _passed(
        self, request: Request, member: MemberInfo, headers: list[tuple[bytes, bytes]]
    ) -> Response:
        """What one server answers, piece by piece in both directions."""
        import httpx2

        outgoing = self._http.build_request(
            request.method,
            address_of(member, request.scope),
            headers=headers,
            content=request.stream() if has_body(request.headers) else None,
        )
        try:
            answer = await self._http.send(outgoing, stream=True)
        except httpx2.HTTPError as error:
            await self.routes.suspect(member)
            raise UnavailableError(
                f"a server ended while it worked on this ({error})", "try again"
            ) from error

        async def pieces() -> AsyncIterator[bytes]:
            try:
                async for piece in answer.aiter_raw():
                    yield piece
            finally:
                await answer.aclose()

        response = StreamingResponse(pieces(), answer.status_code)
        response.raw_headers = end_to_end(answer.headers.raw)
        return response

    async def _stream(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = handed_on(scope)
        key = session_of(scope)
        if key is not None and scope["path"] == NEW_STREAM:
            key = self.routes.admission.place(await self.routes.known())
            path = NEW_STREAM.replace("/new/", f"/{key}/")
            scope = {**scope, "path": path, "raw_path": path.encode()}
            headers.append((NEW.encode(), b"1"))
        if key is not None:
            return await relay(scope, receive, send, Attempts(self.routes, key), self.routes, headers)
        fixed = Attempts(self.routes, scope["path"])
        return await relay(scope, receive, send, fixed, self.routes, headers)


def create_front(front: Front) -> ASGIApp:
    """The front as an application that looks after itself: started and stopped with its server."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        await front.start()
        try:
            yield
        finally:
            await front.stop()

    app = Starlette(lifespan=lifespan)
    app.mount("/", front)
    return app


def address_of(member: MemberInfo, scope: Scope) -> str:
    """The URL of a request at a server."""
    path = (scope.get("raw_path") or scope["path"].encode()).decode("latin-1").partition("?")[0]
    query = scope.get("query_string", b"").decode("latin-1")
    return f"http://{member.address}{path}" + (f"?{query}" if query else "")


def handed_on(scope: Scope) -> list[tuple[bytes, bytes]]:
    """A request's headers for the server behind; what only servers may say to one another is left out."""
    dropped = HOP | INTERNAL | SAID | ({b"content-length"} if scope["type"] == "websocket" else set())
    kept = [(name, value) for name, value in scope["headers"] if name.lower() not in dropped]
    client, secure = scope.get("client"), scope["scheme"] in ("https", "wss")
    kept.append((b"x-forwarded-proto", b"https" if secure else b"http"))
    return kept + ([(b"x-forwarded-for", client[0].encode())] if client else [])


def end_to_end(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """An answer's headers for the client."""
    return [(name.lower(), value) for name, value in headers if name.lower() not in HOP]


def handed_back(answer: httpx2.Response) -> Response:
    """An answer that is here as a whole."""
    response = Response(answer.content, answer.status_code)
    coded = {b"content-length", b"content-encoding"}
    kept = [pair for pair in end_to_end(answer.headers.raw) if pair[0] not in coded]
    if answer.status_code not in (204, 304):
        kept.append((b"content-length", str(len(answer.content)).encode()))
    response.raw_headers = kept
    return response


def has_body(headers: Headers | Mapping[str, str]) -> bool:
    """Whether a request carries anything."""
    return "transfer-encoding" in headers or headers.get("content-length", "0") != "0"
