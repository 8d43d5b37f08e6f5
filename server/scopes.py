"""Which scope of a key each call needs: one table, read from the top"""

from __future__ import annotations

import re

from starlette.types import Scope

_TABLE = tuple(
    (re.compile(methods), re.compile(path, re.DOTALL), scope)
    for methods, path, scope in (
        (".*", r"/v1/admin/.*", "admin"),
        ("POST", r"/v1/sources", "admin"),
        ("DELETE", r"/v1/sources/[^/]+", "admin"),
        ("GET|HEAD|OPTIONS", ".*", "read"),
        ("WEBSOCKET", r"/v1/sources/.*|/v1/sessions/source-.*", "read"),
        ("POST|DELETE", r"/v2/repository/index|/v1/sources/[^/]+/whep(/.*)?", "read"),
        (".*", ".*", "stream"),
    )
)


def needed_scope(scope: Scope) -> str:
    """The scope that a request or a WebSocket needs."""
    method = "WEBSOCKET" if scope["type"] == "websocket" else scope["method"]
    return next(
        needs
        for methods, path, needs in _TABLE
        if methods.fullmatch(method) and path.fullmatch(scope["path"])
    )
