"""`Replica`: one server of a cluster: the same application on a socket of its own, with a member beside it"""

from __future__ import annotations

import asyncio
import socket
import threading
import uuid
from collections.abc import Mapping
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

import uvicorn

from ..engine import Engine
from ..errors import RunError
from ..server import Server, Settings, create_app
from ..server.drain import Saves
from ..server.hub import Hub
from .cluster_api import cluster_api
from .keeper import Keeper
from .member import Member
from .membership import Membership
from .peers import Peers
from .vault import Vault, open_vault
from .view import DirectoryLink, MemberInfo

START_S = 60.0
LOOK_S = 2.0
"""How often its files of keys and certificate are looked at: no signal reaches a server of a cluster."""


class Replica(Server):
    """A server that belongs to a cluster. ``run`` returns after ``should_exit``, its sessions given away.

    Args:
        settings: those of a server; ``state_dir`` is left out, as ``state`` takes its place.
        engines: as for ``Server``.
        directory: who else is there.
        token: the secret of the cluster.
        state: where all servers of the cluster keep snapshots: a folder, or an address for fsspec. Without
            it, the sessions of a server that is killed are lost.
        name: of the member; drawn without.
        host: that the others reach it at; without it, the one that it listens on.

    Raises:
        OptionError: the settings would make an unsafe server, or ``state`` cannot be used.
    """

    def __init__(
        self,
        settings: Settings,
        engines: Mapping[str, Engine],
        directory: DirectoryLink,
        *,
        token: str,
        state: str | None = None,
        name: str | None = None,
        host: str | None = None,
    ) -> None:
        self._keepers = keepers_of(engines, state, settings.snapshot_s)
        app = create_app(settings, engines, keep=self._keep)
        hub: Hub = app.state.hub
        super().__init__(settings, engines, app=app)
        own, port = self.address
        shown = host or own
        info = MemberInfo(
            name or uuid.uuid4().hex[:12], f"[{shown}]:{port}" if ":" in shown else f"{shown}:{port}"
        )
        self.member = Member(hub, self._keepers, info, directory, Peers(token))
        app.include_router(cluster_api(self.member))
        most = max(engine.most_snapshot_bytes for engine in engines.values())
        app.add_middleware(Membership, member=self.member, token=token, most_bytes=most)
        files = (settings.api_key_file, settings.tls_cert, settings.tls_key)
        self._files = [path for path in files if path is not None]
        self._watching: asyncio.Task[None] | None = None
        self.left = 0
        """Sessions that nobody took when it ended."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listens, and joins the cluster."""
        await super().startup(sockets)
        await self.member.start()
        self._watching = asyncio.create_task(self.reload.watch(self._files, LOOK_S), name="watch files")

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Gives its sessions away, and ends as any server."""
        if self._watching is not None:
            self._watching.cancel()
        self.left = await self.member.leave()
        await super().shutdown(sockets)

    def _keep(self, hub: Hub, stack: AsyncExitStack) -> list[Saves]:
        return [stack.enter_context(keeper) for keeper in self._keepers.values()]


def keepers_of(engines: Mapping[str, Engine], state: str | None, every_s: float) -> dict[str, Keeper]:
    """A keeper for each model."""
    found = {}
    for name, engine in engines.items():
        parts = ("sessions", engine.bundle_hash[:16])
        vault: Vault = NoVault() if state is None else open_vault(state, *parts)
        found[name] = Keeper(engine, vault, every_s=every_s)
    return found


class NoVault:
    """Keeps nothing."""

    def read(self, key: str) -> bytes | None:
        """Nothing."""
        return None

    def write(self, key: str, blob: bytes) -> None:
        """Nothing."""

    def remove(self, key: str) -> None:
        """Nothing."""

    def keys(self) -> list[str]:
        """None."""
        return []


class ServerThread:
    """A server on a thread, for processes whose main thread is somebody else's.

    Raises:
        RunError: it did not start.
    """

    def __init__(self, server: uvicorn.Server) -> None:
        self.server = server
        self._thread = threading.Thread(target=server.run, name="framestate-server", daemon=True)
        self._thread.start()
        end = threading.Event()
        for _ in range(round(START_S / 0.02)):
            if server.started:
                return
            if not self._thread.is_alive():
                break
            end.wait(0.02)
        raise RunError("the server did not start", "look at its log")

    @property
    def is_alive(self) -> bool:
        """Whether it still runs."""
        return self._thread.is_alive()

    def stop(self, seconds: float = 120.0) -> None:
        """Tells it to stop, and waits until it has."""
        self.server.should_exit = True
        self._thread.join(seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
