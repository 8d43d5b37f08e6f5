"""Who may ask: API keys, web origins and host names, checked before any handler runs."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from ..errors import AccessError, ForbiddenError, FramestateError
from ..wire import Failure, encode_message
from .audit import Audit
from .callers import Callers, address_of
from .cors import allowed_origins
from .crowd import known
from .keys import ApiKeys, Key
from .metrics import Metrics
from .problems import close_code_of, problem_of
from .revoked import Revoked
from .scopes import needed_scope
from .settings import Settings

OPEN_PATHS = frozenset({"/", "/docs", "/favicon.ico", "/healthz", "/v2/health/live", "/v2/health/ready"})
"""What anybody may see: the pages, which ask for more, and whether the server is well. ``/static/`` too."""
PROTOCOL = "framestate.v2"
OLDER = ("framestate.v1",)
KEY_PROTOCOL = "key."


class Gate:
    """ASGI middleware in front of everything.

    - Host: where no keys are asked for, only names of this machine are answered to; otherwise a web page
      could reach the server through a name of its own that it lets point here (DNS rebinding).
    - Origin: a request that a browser sends for a web page must come from the server's own page or from an
      allowed origin, unless it merely reads.
    - Key: everything but the page and the health of the server needs one, where there are keys, and one with
      the scope that the call needs.
    - Limits: of requests and streams by address and by key, and of wrong keys by address.
    """

    def __init__(
        self, app: ASGIApp, settings: Settings, keys: ApiKeys | None, metrics: Metrics, revoked: Revoked
    ) -> None:
        self.app = app
        self._keys, self._revoked = keys, revoked
        self._callers = Callers(settings)
        self._audit = Audit(metrics)
        self._origins = allowed_origins(settings)
        names = {"localhost", "127.0.0.1", "::1", settings.host.lower()}
        names |= {name.lower() for name in settings.allow_hosts}
        self._hosts = frozenset(names) if keys is None else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hands on what may pass, and answers the rest."""
        if scope["type"] not in ("http", "websocket"):
            return await self.app(scope, receive, send)
        key, ended = None, None
        try:
            key = self.check(scope)
            if key is not None or self._keys is None:
                known(scope)
            if scope["type"] == "websocket":
                ended = self._callers.connects(address_of(scope.get("client")), key)
        except FramestateError as error:
            self._audit.refused(scope, error)
            if scope["type"] == "websocket":
                return await refuse_stream(error, scope, receive, send)
            return await problem_of(error)(scope, receive, send)
        if ended is None:
            return await self.app(scope, receive, send)
        try:
            with self._revoked.listens(key, send):
                await self.app(scope, receive, send)
        finally:
            ended()

    def check(self, scope: Scope) -> Key | None:
        """The key of what may pass, where there are keys.

        Raises:
            ForbiddenError, AccessError, TooManyError: for what may not pass.
        """
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if self._hosts is not None and host_name(host) not in self._hosts:
            raise ForbiddenError(
                f"this server does not answer to {host[:100]!r}", "ask for localhost, or allow the host"
            )
        changes = scope["type"] == "websocket" or scope["method"] not in ("GET", "HEAD", "OPTIONS")
        origin = headers.get("origin")
        if changes and origin is not None and not self._may(origin, host, scope["scheme"]):
            raise ForbiddenError(
                f"pages of {origin[:100]!r} may not use this server", "allow the origin when starting it"
            )
        path = scope["path"]
        if path in OPEN_PATHS or path.startswith("/static/"):
            return None
        caller = self._callers.asks(address_of(scope.get("client")))
        if self._keys is None:
            return None
        offered = offered_key(headers)
        key = None if offered is None else self._keys.find(offered)
        self._callers.check_key(caller, key)
        if key is None:
            if offered is not None and self._callers.wrong(caller):
                self._audit.locked_out(scope)
            raise AccessError(
                "no API key was sent" if offered is None else "the API key is not one of this server's",
                "send one of its keys: Authorization: Bearer <key>",
            )
        self._callers.uses(caller, key)
        needed = needed_scope(scope)
        if not key.may(needed):
            raise ForbiddenError(
                f"the key {key.name!r} has the scope {key.scope}, and this needs {needed}", "use another key"
            )
        return key

    def _may(self, origin: str, host: str, scheme: str) -> bool:
        secure = scheme in ("https", "wss")
        own = f"{'https' if secure else 'http'}://{host}".lower()
        return origin.lower() == own or origin.rstrip("/").lower() in self._origins


def host_name(host: str) -> str:
    """The name in a Host header, without its port."""
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""


def offered_key(headers: Headers) -> str | None:
    """The API key of a request: a bearer token, ``x-api-key``, or in a WebSocket's subprotocols."""
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return token.strip()
    if "x-api-key" in headers:
        return headers["x-api-key"]
    for protocol in offered_protocols(headers):
        if protocol.startswith(KEY_PROTOCOL):
            return decoded_key(protocol.removeprefix(KEY_PROTOCOL))
    return None


def decoded_key(text: str) -> str | None:
    """A key as a subprotocol carries it: base64url without padding."""
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
    except (binascii.Error, ValueError):
        return None


def offered_protocols(headers: Headers) -> Sequence[str]:
    """The WebSocket subprotocols that a client offers."""
    return [name.strip() for name in headers.get("sec-websocket-protocol", "").split(",") if name.strip()]


def chosen_protocol(headers: Headers) -> str | None:
    """Ours where the client offers it, or an older one, whose version is then refused in words.

    Browsers give up on a server that picks none of theirs.
    """
    offered = offered_protocols(headers)
    return next((one for one in (PROTOCOL, *OLDER) if one in offered), None)


async def refuse_stream(error: FramestateError, scope: Scope, receive: Receive, send: Send) -> None:
    """Tells a WebSocket why it is closed: browsers see neither status nor body of a refused handshake."""
    message = await receive()
    if message["type"] != "websocket.connect":
        return
    await send({"type": "websocket.accept", "subprotocol": chosen_protocol(Headers(scope=scope))})
    await send({"type": "websocket.send", "text": encode_message(Failure.of(error, closing=True))})
    await send({"type": "websocket.close", "code": close_code_of(error), "reason": type(error).__name__})


class SafeHeaders:
    """ASGI middleware: a strict content policy and no sniffing, on every answer."""

    HEADERS = (
        (b"content-security-policy", (
            b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
            b"media-src 'self' blob:; connect-src 'self'; manifest-src 'self'; base-uri 'none'; "
            b"form-action 'none'; frame-ancestors 'none'"
        )),
        (b"x-content-type-options", b"nosniff"),
        (b"referrer-policy", b"no-referrer"),
        (b"cross-origin-resource-policy", b"same-origin"),
        (b"permissions-policy", b"camera=(self), microphone=()"),
    )  # fmt: skip

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Adds the headers to what does not have them."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)

        async def sending(message: dict[str, object]) -> None:
            if message["type"] == "http.response.start":
                given: list[tuple[bytes, bytes]] = list(message.get("headers") or [])  # type: ignore[call-overload]
                names = {name.lower() for name, _ in given}
                message["headers"] = given + [pair for pair in self.HEADERS if pair[0] not in names]
            await send(message)

        return await self.app(scope, receive, sending)  # type: ignore[arg-type]
