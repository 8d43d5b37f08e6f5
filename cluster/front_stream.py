"""WebSockets through the front: accepted when the owner has accepted, closed when either side closes"""

from __future__ import annotations

import asyncio
import contextlib
from http import HTTPStatus
from typing import Any

from starlette.types import Receive, Scope, Send
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.typing import Subprotocol

from ..errors import UnavailableError
from .membership import MISDIRECTED
from .routes import Attempts, Routes
from .view import MemberInfo

OPEN_S = 30.0
RESTART = 1012  # a service restart, in WebSocket's own words: the client connects again
AGAIN = (MISDIRECTED, HTTPStatus.INTERNAL_SERVER_ERROR)
"""The server is not the owner, or it ended during the handshake: whoever owns the session is asked next."""
OWN = frozenset({b"host", b"content-length"})


async def relay(
    scope: Scope,
    receive: Receive,
    send: Send,
    attempts: Attempts,
    routes: Routes,
    headers: list[tuple[bytes, bytes]],
) -> None:
    """Connects a client's stream to the owner of its session, and hands messages on until one side closes."""
    message = await receive()
    if message["type"] != "websocket.connect":
        return
    try:
        await reach(scope, receive, send, attempts, routes, headers)
    except UnavailableError as error:
        await refuse(error, send)


async def reach(
    scope: Scope,
    receive: Receive,
    send: Send,
    attempts: Attempts,
    routes: Routes,
    headers: list[tuple[bytes, bytes]],
) -> None:
    """Tries until the owner is reached, or refuses. Raises UnavailableError where it cannot be had."""
    async for owner in attempts:
        try:
            upstream = await open_upstream(owner, scope, headers)
        except InvalidStatus as refused:
            if refused.response.status_code not in AGAIN:
                return await deny(send, refused)
        except (OSError, WebSocketException, TimeoutError):
            await routes.suspect(owner)
        else:
            return await between(upstream, scope, receive, send)
        attempts.give_up()


async def open_upstream(
    owner: MemberInfo, scope: Scope, headers: list[tuple[bytes, bytes]]
) -> ClientConnection:
    """A stream to a server, which sees the client's own headers, its host included."""
    given = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
    host, _, port = owner.address.rpartition(":")
    path = (scope.get("raw_path") or scope["path"].encode()).decode("latin-1")
    query = scope.get("query_string", b"").decode("latin-1")
    kept = [
        (name.decode("latin-1"), value.decode("latin-1"))
        for name, value in headers
        if name.lower() not in OWN and not name.lower().startswith(b"sec-websocket-")
    ]
    return await connect(
        f"ws://{given.get(b'host', owner.address)}{path}" + (f"?{query}" if query else ""),
        host=host.strip("[]"),
        port=int(port),
        additional_headers=kept,
        subprotocols=[Subprotocol(name) for name in scope.get("subprotocols", [])] or None,
        user_agent_header=None,
        compression=None,
        max_size=None,
        proxy=None,
        open_timeout=OPEN_S,
        ping_interval=None,
        close_timeout=5.0,
    )


async def between(upstream: ClientConnection, scope: Scope, receive: Receive, send: Send) -> None:
    """Both directions at once."""
    await send({"type": "websocket.accept", "subprotocol": upstream.subprotocol})
    up = asyncio.create_task(upwards(upstream, receive), name="up")
    try:
        with contextlib.suppress(ConnectionClosed):
            async for message in upstream:
                name = "text" if isinstance(message, str) else "bytes"
                await send({"type": "websocket.send", name: message})
        code = upstream.close_code or RESTART
        code = RESTART if code in (1005, 1006) else code
        if not up.done():  # otherwise it was the client that closed
            with contextlib.suppress(RuntimeError, OSError):
                await send({"type": "websocket.close", "code": code, "reason": upstream.close_reason or ""})
    finally:
        up.cancel()
        await asyncio.gather(up, return_exceptions=True)
        await upstream.close()


async def upwards(upstream: ClientConnection, receive: Receive) -> None:
    """What the client says, until it goes."""
    with contextlib.suppress(ConnectionClosed):
        while (event := await receive())["type"] == "websocket.receive":
            text = event.get("text")
            await upstream.send(text if text is not None else event["bytes"])
        code = event.get("code", 1000)
        await upstream.close(code if 3000 <= code < 5000 or code in (1000, 1001) else 1001)


async def deny(send: Send, refused: InvalidStatus) -> None:
    """Refuses the handshake as the server did."""
    answer = refused.response
    headers = [
        (name.lower().encode("latin-1"), value.encode("latin-1"))
        for name, value in answer.headers.raw_items()
        if name.lower() not in ("connection", "transfer-encoding", "content-length")
    ]
    body = bytes(answer.body or b"")
    headers.append((b"content-length", str(len(body)).encode()))
    start: dict[str, Any] = {"type": "websocket.http.response.start", "status": answer.status_code}
    await send({**start, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": body})


async def refuse(error: UnavailableError, send: Send) -> None:
    """Refuses the handshake, as no server could be had."""
    from ..server.problems import problem_of

    answer = problem_of(error)
    start: dict[str, Any] = {"type": "websocket.http.response.start", "status": answer.status_code}
    await send({**start, "headers": answer.raw_headers})
    await send({"type": "websocket.http.response.body", "body": bytes(answer.body)})
