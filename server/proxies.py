"""What proxies say of a request: the path prefix, and, where they are trusted, who asked and how"""

from __future__ import annotations

import ipaddress
import re

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from ..errors import OptionError
from .settings import Settings

_ROOT = re.compile(r"(?:/[A-Za-z0-9._~-]+)+")


class Behind:
    """ASGI middleware, the outermost: a request as its sender meant it, whatever proxies did to it.

    - Prefix: proxies may hand ``/prefix/v1/...`` on as it is, or without the prefix; both become ``/v1/...``.
    - ``X-Forwarded-For``, ``-Proto`` and ``-Host`` count where the connection comes from a trusted address.
    """

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self._app = app
        self._root = root_of(settings.root_path)
        self._proxies = ProxyHeadersMiddleware(self._named, checked_proxies(settings.proxies))  # type: ignore[arg-type]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hands on the request."""
        if scope["type"] not in ("http", "websocket"):
            return await self._app(scope, receive, send)
        sender = (scope.get("client") or [""])[0]
        scope = {**scope, "framestate.trusted": sender in self._proxies.trusted_hosts}
        await self._proxies(scope, receive, send)  # type: ignore[arg-type]

    async def _named(self, scope: Scope, receive: Receive, send: Send) -> None:
        """With the host that the sender asked for, and without the prefix."""
        headers = Headers(scope=scope)
        host = (
            headers.get("x-forwarded-host", "").rpartition(",")[2].strip()
        )  # the last is the nearest proxy's
        if scope.pop("framestate.trusted") and host:
            own = MutableHeaders(raw=list(scope["headers"]))
            own["host"] = host
            scope["headers"] = own.raw
        path, root = scope["path"], self._root
        if root and (path == root or path.startswith(f"{root}/")):
            raw = scope.get("raw_path")
            scope["path"] = path[len(root) :] or "/"
            if raw and raw.startswith(root.encode()):
                scope["raw_path"] = raw[len(root) :] or b"/"
            if path == root and scope["type"] == "http":
                return await _redirected(f"{root}/", send)
        await self._app(scope, receive, send)


async def _redirected(where: str, send: Send) -> None:
    """The page's own addresses are relative: they need the slash."""
    headers = [(b"location", where.encode()), (b"content-length", b"0")]
    await send({"type": "http.response.start", "status": 307, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


def root_of(text: str) -> str:
    """A path prefix without its last slash. Raises OptionError."""
    root = text.rstrip("/")
    if root and (not _ROOT.fullmatch(root) or "/." in root):
        raise OptionError(f"the path prefix {text[:80]!r} is none", "Give one such as /framestate.")
    return root


def checked_proxies(proxies: tuple[str, ...]) -> list[str]:
    """The addresses and networks of proxies. Raises OptionError for what is neither."""
    for proxy in proxies:
        try:
            ipaddress.ip_network(proxy)
        except ValueError as error:
            raise OptionError(
                f"the proxy {proxy[:80]!r} is no address ({error})",
                "Give one such as 127.0.0.1 or 10.0.0.0/8.",
            ) from error
    return list(proxies)
