"""``kill -9`` of a server: its sessions go on elsewhere from their last snapshot, the others see nothing."""

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
from collections.abc import Iterator
from multiprocessing.managers import BaseManager
from pathlib import Path
from typing import Any

import pytest
from framestate.client import AsyncClient, AsyncStream
from framestate.cluster.directory import Directory
from framestate.cluster.front_server import FrontServer
from framestate.cluster.local_directory import DirectoryThread
from framestate.cluster.replica import ServerThread
from framestate.cluster.ring import Ring
from framestate.server import Settings
from framestate.vision import Box

Film = tuple[list[bytes], Box]
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

    def __init__(self, directory: DirectoryThread, state: Path, port: int) -> None:
        self.state = state
        script = Path(__file__).with_name("replica_process.py")
        self.started = {}
        for name in NAMES:
            given = {"port": port, "secret": SECRET, "state": str(state), "name": name, "snapshot_s": EVERY_S}
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
        found = [{one.name for one in members}, set(self.front.server.front.routes.view.names)]  # type: ignore[attr-defined]
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


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    with DirectoryThread(Directory(dead_s=30.0)) as directory:
        near = Near(directory)
        Manager.register("directory", lambda: near, exposed=("beat", "look", "gone", "suspect"))
        manager = Manager(("127.0.0.1", 0), SECRET.encode())
        server = manager.get_server()
        threading.Thread(target=server.serve_forever, daemon=True).start()
        assert isinstance(server.address, tuple)
        made = Processes(directory, tmp_path_factory.mktemp("state"), server.address[1])
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


async def step(targets: dict[str, AsyncStream], jpeg: bytes) -> list[tuple[float, ...]]:
    tracks = await asyncio.gather(*(target.push(jpeg) for target in targets.values()))
    return [track.box.xywh for track in tracks]


def test_sessions_of_a_killed_server_go_on(
    processes: Processes, film: Film, truth: list[tuple[float, ...]]
) -> None:
    jpegs, box = film
    mine, others = keys_of("c", NAMES, 2), [*keys_of("a", NAMES, 1), *keys_of("b", NAMES, 1)]

    async def run() -> None:
        async with AsyncClient(processes.url) as client:
            targets = {
                key: await client.track(jpegs[0], box, session_id=key, policy="WAIT") for key in mine + others
            }
            for index in range(1, 6):
                assert await step(targets, jpegs[index]) == [truth[index - 1]] * 4
            await saved(processes, mine)
            processes.kill("c")
            began = time.monotonic()
            assert await step(targets, jpegs[6]) == [truth[5]] * 4
            assert time.monotonic() - began < 3.0
            for index in range(7, len(jpegs)):
                assert await step(targets, jpegs[index]) == [truth[index - 1]] * 4
            assert all(targets[key].reconnects > 0 for key in mine)
            assert [targets[key].reconnects for key in others] == [0, 0]
            assert [target.frames_lost for target in targets.values()] == [0] * 4
            for target in targets.values():
                await target.close()

    asyncio.run(run())


def test_frames_after_the_last_snapshot_are_told_as_lost(processes: Processes, film: Film) -> None:
    jpegs, box = film
    (key,) = keys_of("b", ("a", "b"), 1)

    async def run() -> None:
        async with AsyncClient(processes.url) as client:
            target = await client.track(jpegs[0], box, session_id=f"{key}", policy="DROP_OLDEST")
            for index in range(1, 4):
                await target.push(jpegs[index])
            await saved(processes, [key])
            for index in range(4, 9):
                await target.push(jpegs[index])
            processes.kill("b")
            assert (await target.push(jpegs[9])).frame_index == 9
            assert target.frames_lost == 5
            await target.close()

    asyncio.run(run())
