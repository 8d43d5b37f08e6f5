"""Floor 0: the typed client of the server.

::

    from framestate.client import Client

    with Client("http://127.0.0.1:8000") as client, client.track(first, box=(x, y, w, h)) as target:
        for frame in frames:
            track = target.push(frame)

The names below are imported when they are asked for: they need the extra ``client``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .aio import AsyncClient
    from .aio_rest import AsyncRestSession, AsyncVideo
    from .aio_sources import AsyncSource
    from .aio_streams import AsyncStream
    from .records import SessionInfo, TargetInfo, VideoInfo
    from .results import Reply
    from .sync import Client, RestSession, Source, Stream, Video

__all__ = [
    "AsyncClient",
    "AsyncRestSession",
    "AsyncSource",
    "AsyncStream",
    "AsyncVideo",
    "Client",
    "Reply",
    "RestSession",
    "SessionInfo",
    "Source",
    "Stream",
    "TargetInfo",
    "Video",
    "VideoInfo",
]

_HOMES = ("sync", "aio", "aio_streams", "aio_rest", "aio_sources", "records", "results")


def __getattr__(name: str) -> Any:
    if name in __all__:
        for home in _HOMES:
            module = import_module(f".{home}", __package__)
            if name in vars(module):
                return vars(module)[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
