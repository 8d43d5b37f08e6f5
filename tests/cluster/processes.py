"""Servers of a cluster as processes of their own, which can be killed; the front and the directory in this
one.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from multiprocessing.managers import BaseManager
from pathlib import Path
from typing import Any

from framestate.cluster.directory import Directory
from framestate.cluster.front_server import FrontServer
from framestate.cluster.local_directory import DirectoryThread
from framestate.cluster.replica import ServerThread
from framestate.cluster.ring import Ring
from framestate.server import Settings

SECRET = "a-secret-of-the-tests"
NAMES = ("a", "b", "c")
EVERY_S = 1.5


class Near:
    """The directory for callers without an event loop."""

    def __init__(self, directory: DirectoryThread) -> None:
        self._directory = directory

    def __getattr__(self, name: str) -> Any:
        if name not in ("beat", "look", "gone", "suspect"):
            raise AttributeError(name)
        return lambda *given: asyncio.run(getattr(self._directory, name)(*given))


class Manager(BaseManager):
    """The way from other processes to the directory."""


class Processes:
    """Servers as processes, by name, and the front in this one."""

    def __init__(self, directory: DirectoryThread, state: Path, port: int, models: Mapping[str, str]) -> None:
        self.state = state
        script = Path(__file__).with_name("replica_process.py")
        self.started = {}
        for name in NAMES:
            given: dict[str, Any] = {
                "port": port,
                "secret": SECRET,
                "state": str(state),
                "name": name,
                "snapshot_s": EVERY_S,
            }
            given["models"] = dict(models)
            self.started[name] = subprocess.Popen([sys.executable, str(script), json.dumps(given)])
        self.front = ServerThread(FrontServer(Settings(port=0), directory))
        self.url = "http://{}:{}".format(*self.front.server.address)  # type: ignore[attr-defined]
        end = time.monotonic() + 60
        while not all(names == set(NAMES) for names in self.views(directory)):
            assert time.monotonic() < end, "the servers did not join"
            time.sleep(0.05)

    def views(self, directory: DirectoryThread) -> list[set[str]]:
        """Who is there, as the directory, the front and every server see it: they look now and then."""
        members = asyncio.run(directory.look())[0].members
        front: Any = self.front.server
        found = [{one.name for one in members}, set(front.front.routes.view.names)]
        for one in members:
            with urllib.request.urlopen(f"http://{one.address}/v1/cluster", timeout=30) as answer:
                found.append({member["name"] for member in json.load(answer)["members"]})
        return found

    def kill(self, name: str) -> None:
        process = self.started.pop(name)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()

    def saved_at(self, key: str) -> int:
        """When a session was last written, in nanoseconds; 0 if never."""
        found = list(self.state.glob(f"sessions/*/{key}.session"))
        return found[0].stat().st_mtime_ns if found else 0

    def close(self) -> None:
        self.front.stop()
        for process in self.started.values():
            process.kill()
            process.wait()


@contextmanager
def started(state: Path, models: Mapping[str, str]) -> Iterator[Processes]:
    """Three servers that share a folder, with these models: a name or a path each."""
    with DirectoryThread(Directory(dead_s=30.0)) as directory:
        near = Near(directory)
        Manager.register("directory", lambda: near, exposed=("beat", "look", "gone", "suspect"))
        manager = Manager(("127.0.0.1", 0), SECRET.encode())
        server = manager.get_server()
        threading.Thread(target=server.serve_forever, daemon=True).start()
        assert isinstance(server.address, tuple)
        made = Processes(directory, state, server.address[1], models)
        yield made
        made.close()


def keys_of(owner: str, among: tuple[str, ...], count: int) -> list[str]:
    """Ids of sessions that belong to one of these servers."""
    ring = Ring(among)
    found = (key for key in map(str, range(10_000)) if ring.owner(key) == owner)
    return [next(found) for _ in range(count)]


async def saved(processes: Processes, keys: list[str]) -> None:
    """Waits until every session has been written after now."""
    now = time.time_ns()
    while not all(processes.saved_at(key) > now for key in keys):
        await asyncio.sleep(0.01)
        assert time.time_ns() - now < 20e9
