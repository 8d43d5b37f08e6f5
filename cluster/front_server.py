"""`FrontServer`: the front on a socket"""

from __future__ import annotations

import socket

import uvicorn

from ..server import Settings
from ..server.run import listen, listening_config
from .front import Front, create_front
from .view import DirectoryLink

DRAIN_S = 5


class FrontServer(uvicorn.Server):
    """Serves the front until it is told to stop: ``run`` returns then.

    Args:
        settings: address and limits; keys are checked by the servers behind it.
        directory: where these are to be found.

    Raises:
        OptionError: the address is taken.
    """

    def __init__(self, settings: Settings, directory: DirectoryLink) -> None:
        self.front = Front(directory, max_frame_bytes=settings.max_frame_bytes)
        config = listening_config(create_front(self.front), settings, DRAIN_S)
        self._listener = listen(settings.host, settings.port)
        super().__init__(config)

    @property
    def address(self) -> tuple[str, int]:
        """Host and port that it listens on."""
        host, port = self._listener.getsockname()[:2]
        return host, port

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serves until told to stop."""
        super().run([self._listener] if sockets is None else sockets)
