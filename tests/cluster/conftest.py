"""Clusters within one process: real servers on real sockets, a front, and a directory that all ask."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from framestate.bundles import Bundle
from framestate.client import AsyncClient, AsyncStream
from framestate.cluster.directory import Directory
from framestate.cluster.front_server import FrontServer
from framestate.cluster.local_directory import DirectoryThread
from framestate.cluster.replica import Replica, ServerThread
from framestate.cluster.view import View
from framestate.engine import Engine
from framestate.server import Settings
from framestate.vision import Box, Frame, decode_image, encode_image
from framestate.vision.synthetic import demo_clip

TOKEN = "a-secret-of-the-tests"
FRAMES = 24
MODELS: Mapping[str, str | Bundle] = MappingProxyType({"tracker-nano": "tracker-nano"})


class Cluster:
    """Servers that can be added, told to leave, and killed; and the address of the front."""

    def __init__(
        self,
        directory: DirectoryThread,
        state: Path | None,
        models: Mapping[str, str | Bundle] = MODELS,
        **settings: Any,
    ) -> None:
        self.directory = directory
        self._models = models
        self.replicas: dict[str, Replica] = {}
        self._state = state
        self._settings = Settings(port=0, max_sessions=16, **settings)
        self._threads: dict[str, ServerThread] = {}
        self._engines: list[Engine] = []
        server = FrontServer(self._settings, directory)
        self._routes = server.front.routes
        self.front = ServerThread(server)
        host, port = server.address
        self.url = f"http://{host}:{port}"
        self.port = port

    def add(self, name: str, capacity: int = 16) -> Replica:
        engines = {
            key: Engine.load(model, runtime="onnx", device="cpu", threads=1, capacity=capacity)
            for key, model in self._models.items()
        }
        self._engines += engines.values()
        state = None if self._state is None else str(self._state)
        replica = Replica(self._settings, engines, self.directory, token=TOKEN, state=state, name=name)
        self._threads[name] = ServerThread(replica)
        self.replicas[name] = replica
        while any(name not in view.names for view in self._views()):  # they look every half second
            time.sleep(0.02)
        return replica

    def _views(self) -> list[View]:
        """Who is there, as the front and every server see it."""
        return [self._routes.view, *(one.member.view for one in self.replicas.values())]

    def leave(self, name: str) -> int:
        """A planned end; returns how many sessions nobody took."""
        replica = self.replicas.pop(name)
        self._threads.pop(name).stop()
        return replica.left

    def at(self, key: str) -> list[str]:
        """The servers that have a session."""
        return [name for name, one in self.replicas.items() if one.hub.find(key) is not None]

    def close(self) -> None:
        for thread in [self.front, *self._threads.values()]:
            thread.stop()
        for engine in self._engines:
            engine.slots.check()
            engine.close()


Make = Callable[..., Cluster]


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Make]:
    """Makes clusters whose servers share a folder, and ends them."""
    made: list[Cluster] = []
    with DirectoryThread(Directory(dead_s=30.0)) as directory:

        def make(
            *names: str, keeps: bool = True, models: Mapping[str, str | Bundle] = MODELS, **settings: Any
        ) -> Cluster:
            made.append(Cluster(directory, tmp_path / "state" if keeps else None, models, **settings))
            for name in names:
                made[-1].add(name)
            return made[-1]

        yield make
        for one in made:
            one.close()


@pytest.fixture(scope="session")
def film() -> tuple[list[bytes], Box]:
    """A film of 160 x 120 as JPEGs, and the target's box in its first frame."""
    pairs = [(encode_image(image, "jpeg"), box) for image, box, _ in demo_clip(3, FRAMES, (160, 120))]
    return [jpeg for jpeg, _ in pairs], pairs[0][1]


@pytest.fixture(scope="session")
def truth(film: tuple[list[bytes], Box]) -> list[tuple[float, ...]]:
    """The boxes after the first frame, as one engine tracks them inline."""
    from fractions import Fraction

    rate = Fraction(1, 30)
    frames = [Frame(decode_image(jpeg), index, rate, index) for index, jpeg in enumerate(film[0])]
    with Engine.load("tracker-nano", runtime="onnx", device="cpu", threads=1, capacity=1) as engine:
        target = engine.open(frames[0], box=film[1])
        return [target.push(frame).box.xywh for frame in frames[1:]]


async def follow(
    client: AsyncClient,
    film: tuple[list[bytes], Box],
    key: str = "new",
    pace: Callable[[int], Any] | None = None,
) -> tuple[Sequence[tuple[float, ...]], AsyncStream]:
    """One stream from the first frame to the last; ``pace`` is awaited before each."""
    jpegs, box = film
    boxes = []
    async with await client.track(jpegs[0], box, session_id=key, policy="WAIT") as target:
        for index, jpeg in enumerate(jpegs[1:], start=1):
            if pace is not None:
                await pace(index)
            boxes.append((await target.push(jpeg)).box.xywh)
    return boxes, target
