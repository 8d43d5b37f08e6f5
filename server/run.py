"""`Server`: the application on a socket, from its start to a stop that loses nothing."""

from __future__ import annotations

import asyncio
import signal
import socket
import ssl
import sys
import threading
import time
from collections.abc import Mapping
from types import FrameType

import uvicorn
from fastapi import FastAPI
from starlette.types import ASGIApp

from ..engine import Engine
from ..errors import OptionError
from .app import create_app
from .connection import MAX_HEADER_BYTES, connection_class
from .crowd import Crowd
from .hub import Hub
from .proxies import Behind
from .reload import Reload
from .settings import Settings
from .sources import Sources
from .stream_socket import HeldBackSocket
from .tls import load_pair, tls_files

WIRE_HEADER = 64
"""Bytes of a message besides its picture, rounded up."""
BACKLOG = 128
"""Connections that wait to be accepted, and are so at one go: fewer than there are spare files."""


class Server(uvicorn.Server):
    """A server over engines that stay the caller's. ``run`` returns after SIGTERM or SIGINT.

    ::

        with Engine.load("tracker-nano") as engine:
            Server(Settings(), {"tracker-nano": engine}).run()

    Args:
        settings, engines: those of ``create_app``.
        app: what it made, where the caller has added to it.

    Raises:
        OptionError: the settings would make an unsafe server, the address is taken, or the state folder
            cannot be used.
    """

    def __init__(
        self, settings: Settings, engines: Mapping[str, Engine], *, app: FastAPI | None = None
    ) -> None:
        app = app or create_app(settings, engines)
        self.hub: Hub = app.state.hub
        self.sources: Sources = app.state.sources
        self.reload: Reload = app.state.reload
        self._crowd = Crowd(settings.max_connections)
        config = listening_config(app, settings, 0, self._crowd)
        self._tls = tls_files(settings)
        if self._tls is not None:
            self.reload.add("certificate", self._new_certificate)
        self.hub.state.open()  # waits for a server that is about to leave, and for its port
        try:
            self._listener = listen(settings.host, settings.port)
        except BaseException:
            self.hub.state.close()
            raise
        self._told_at: float | None = None
        super().__init__(config)

    @property
    def connections(self) -> int:
        """How many it takes at once."""
        return self._crowd.most

    @property
    def address(self) -> tuple[str, int]:
        """Host and port that it listens on."""
        host, port = self._listener.getsockname()[:2]
        return host, port

    def run(self, sockets: list[socket.socket] | None = None) -> None:
        """Serves until told to stop."""
        super().run([self._listener] if sockets is None else sockets)

    def _new_certificate(self) -> None:
        if self._tls is not None and self.config.ssl is not None:
            load_pair(self.config.ssl, self._tls)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """A signal to stop is not raised again afterwards: being told to stop is no failure."""
        if self.should_exit and sig == signal.SIGINT:
            self.force_exit = True
        self._told_at = self._told_at or time.monotonic()
        self.should_exit = True

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listens, and reads its files again on SIGHUP from now on."""
        await super().startup(sockets)
        if threading.current_thread() is threading.main_thread() and sys.platform != "win32":
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self.reload)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Takes nothing new, answers what is under way, writes snapshots, and closes, within ``drain_s``."""
        for server in self.servers:
            server.close()
        await self.hub.drained(self._told_at)
        self.config.timeout_graceful_shutdown = self.hub.drain.left / 2  # type: ignore[assignment] # for peers to close
        await super().shutdown(sockets)


def listening_config(
    app: ASGIApp, settings: Settings, drain_s: int, crowd: Crowd | None = None
) -> uvicorn.Config:
    """How an application of ours is served: its limits, its proxies and TLS, and nothing said of ourselves.

    Raises:
        OptionError: the prefix, a proxy's address, or the TLS files cannot be used.
    """
    tls = tls_files(settings)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    if tls is not None:
        load_pair(context, tls)
    return uvicorn.Config(
        Behind(app, settings),
        ssl_context_factory=None if tls is None else lambda *_: context,
        http=connection_class(settings, crowd or Crowd(settings.max_connections)),
        ws=HeldBackSocket,
        ws_max_size=settings.max_frame_bytes + WIRE_HEADER,
        ws_ping_interval=settings.ping_s,
        ws_ping_timeout=settings.ping_s,
        ws_per_message_deflate=False,  # pictures are compressed already, and a bomb would fit in
        timeout_graceful_shutdown=drain_s,
        backlog=BACKLOG,
        h11_max_incomplete_event_size=MAX_HEADER_BYTES,
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
    )


def listen(host: str, port: int) -> socket.socket:
    """A socket on this address. Raises OptionError when it is taken or not this machine's."""
    try:
        info = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listener = socket.socket(*info[:3])  # with its protocol, without which asyncio sets no TCP_NODELAY
        if sys.platform != "win32":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(info[4])
        listener.listen(BACKLOG)  # who comes before the server is ready waits a moment
    except OSError as error:
        raise OptionError(
            f"{host} port {port} cannot be listened on ({error.strerror or error})", "choose another port"
        ) from error
    return listener
