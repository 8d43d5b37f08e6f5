"""Floor 0: the wire format of the server, and the typed client that speaks it.

::

    from framestate.client import Client

    with Client("http://127.0.0.1:8000") as client, client.track(first, box=(x, y, w, h)) as target:
        for frame in frames:
            track = target.update(frame)

The server imports the wire format from here and needs nothing of the rest. So the names below are imported
when they are asked for: they need the extra ``client``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .aio import AsyncClient
    from .aio_rest import AsyncRestTarget, AsyncVideo
    from .aio_streams import AsyncInterpolation, AsyncTarget
    from .records import SessionInfo, VideoInfo
    from .results import Track
    from .sync import Client, Interpolation, RestTarget, Target, Video

__all__ = [
    "AsyncClient",
    "AsyncInterpolation",
    "AsyncRestTarget",
    "AsyncTarget",
    "AsyncVideo",
    "Client",
    "Interpolation",
    "RestTarget",
    "SessionInfo",
    "Target",
    "Track",
    "Video",
    "VideoInfo",
]

_HOMES = ("sync", "aio", "aio_streams", "aio_rest", "records", "results")


def __getattr__(name: str) -> Any:
    if name in __all__:
        for home in _HOMES:
            module = import_module(f".{home}", __package__)
            if name in vars(module):
                return vars(module)[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
