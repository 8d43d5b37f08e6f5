"""A real server on a free port of this machine, in a thread, with two models; and a clip."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from framestate.bundles import Bundle
from framestate.client import Stream
from framestate.engine import Engine, Track
from framestate.server import Server, Settings
from framestate.vision import Box, Frame
from framestate.vision.synthetic import demo_clip


class Running:
    """A server in a thread."""

    def __init__(self, settings: Settings, engines: dict[str, Engine]) -> None:
        self.server = Server(settings, engines)
        self.engine = engines["tracker"]
        self.port = self.server.address[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self.server.run, name="test-server")
        self._thread.start()
        while not self.server.started and self._thread.is_alive():
            time.sleep(0.01)

    def stop(self) -> None:
        self.server.should_exit = True
        self._thread.join(30)
        assert not self._thread.is_alive()


Serve = Callable[..., Any]


def load(bundle: Bundle, capacity: int = 8) -> Engine:
    return Engine.load(
        str(bundle.path), runtime="onnx", device="cpu", threads=1, workers=2, capacity=capacity
    )


@contextmanager
def running(
    tracker: Bundle, interpolator: Bundle | None = None, *, capacity: int = 8, **settings: Any
) -> Iterator[Running]:
    """A server, until the block ends; then no slot is lost."""
    with ExitStack() as stack:
        engines = {"tracker": stack.enter_context(load(tracker, capacity))}
        if interpolator is not None:
            engines["interpolator"] = stack.enter_context(load(interpolator))
        one = Running(Settings(**{"port": 0, **settings}), engines)
        try:
            yield one
        finally:
            one.stop()
            one.engine.slots.check()


@pytest.fixture(scope="module")
def server(tiny_bundle: Bundle, tiny_interpolator: Bundle) -> Iterator[Running]:
    """One server for the tests of a file."""
    with running(tiny_bundle, tiny_interpolator) as one:
        yield one


@pytest.fixture
def serve(tiny_bundle: Bundle) -> Iterator[Serve]:
    """Starts servers that have ended when the test has."""
    with ExitStack() as stack:
        yield lambda **settings: stack.enter_context(running(tiny_bundle, **settings))


@pytest.fixture(scope="session")
def clip() -> tuple[list[Frame], Box]:
    """Sixteen frames of 160 x 120, and the target's box in the first."""
    pairs = list(demo_clip(3, 16, (160, 120)))
    frames = [Frame(image, 40 * n, Fraction(1, 1000), n) for n, (image, _, _) in enumerate(pairs)]
    return frames, pairs[0][1]


@pytest.fixture(scope="session")
def truth(clip: tuple[list[Frame], Box], tiny_bundle: Bundle) -> list[Track]:
    """The tracks of the clip's frames after the first, as the engine gives them inline."""
    frames, box = clip
    with load(tiny_bundle, 1) as engine:
        target = engine.open(frames[0], box=box)
        return [target.push(frame) for frame in frames[1:]]


def same(found: list[Track], wanted: list[Any], tolerance: float = 0.0) -> bool:
    """Whether tracks are the same in everything but their timings."""
    return [one.frame_index for one in found] == [one.frame_index for one in wanted] and all(
        np.allclose(one.box.xywh, other.box.xywh, rtol=0, atol=tolerance) and one.status == other.status
        for one, other in zip(found, wanted, strict=True)
    )


def lose_connection(target: Stream) -> None:
    """Cuts the line, without a word to either side."""

    async def cut() -> None:
        link: Any = target._inner._link
        link._socket.transport.abort()

    target._portal.run(cut())
