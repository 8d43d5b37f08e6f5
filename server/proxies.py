"""What proxies say of a request: the path prefix, and, where they are trusted, who asked and how"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from itertools import takewhile
from types import MappingProxyType

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from ..errors import OptionError
from .settings import Settings

FORWARDED = MappingProxyType(
    {"for": "x-forwarded-for", "proto": "x-forwarded-proto", "host": "x-forwarded-host"}
)
"""What proxies say, as ``Forwarded`` names it, and as most do."""
_PAIR = re.compile(r'\s*([A-Za-z]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s;,"]+))\s*(?:;|$)')
_ITEM = re.compile(r'(?:[^,"]|"(?:[^"\\]|\\.)*")+')
_ROOT = re.compile(r"(?:/[A-Za-z0-9._~-]+)+")


class Behind:
    """ASGI middleware, the outermost: a request as its sender meant it, whatever proxies did to it.

    - Prefix: proxies may hand ``/prefix/v1/...`` on as it is, or without the prefix; both become ``/v1/...``.
    - ``X-Forwarded-For``, ``-Proto`` and ``-Host`` count where the connection comes from a trusted address;
      ``Forwarded`` (RFC 7239) does where there is none of them. Of several values, as chains of proxies make
      them, that of the outermost trusted proxy counts.
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
        if sender in self._proxies.trusted_hosts:
            scope = {**scope, "headers": self._told(Headers(scope=scope))}
        await self._proxies(scope, receive, send)  # type: ignore[arg-type]

    def _told(self, given: Headers) -> list[tuple[bytes, bytes]]:
        """The headers, with what the outermost trusted proxy said of scheme and host."""
        headers = MutableHeaders(raw=list(given.raw))
        said = {name: _items(headers.getlist(name)) for name in FORWARDED.values()}
        if not any(said.values()):
            elements = [_pairs(text) for text in _items(headers.getlist("forwarded"))]
            for key, name in FORWARDED.items():
                said[name] = [one[key] for one in elements if key in one]
        senders = said["x-forwarded-for"]
        trusted = self._proxies.trusted_hosts
        between = takewhile(lambda one: _address(one) in trusted, reversed(senders))
        depth = 1 + len(list(between))  # proxies that are trusted, from here outwards
        if senders:
            headers["x-forwarded-for"] = ", ".join(senders)
        for name, own in (("x-forwarded-proto", "x-forwarded-proto"), ("x-forwarded-host", "host")):
            if said[name]:
                headers[own] = said[name][-depth:][0]
        return headers.raw

    async def _named(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Without the prefix."""
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


def _items(lines: Sequence[str]) -> list[str]:
    """The members of a header's list; commas in quotes part none."""
    return [item for line in lines for one in _ITEM.findall(line) if (item := one.strip())]


def _pairs(element: str) -> dict[str, str]:
    """Of one element of ``Forwarded``: who, how and for which host."""
    found = {}
    for name, quoted, plain in _PAIR.findall(element):
        found[name.lower()] = re.sub(r"\\(.)", r"\1", quoted) or plain
    return found


def _address(text: str) -> str:
    """Of a sender, without a port and brackets."""
    bracketed = re.fullmatch(r"\[(.+)\](?::\d+)?", text)
    if bracketed:
        return bracketed[1]
    return text.partition(":")[0] if text.count(":") == 1 else text
