"""A real server on a free port of this machine, in a thread; a clip as JPEGs; and the plainest of clients."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from framestate import wire
from framestate.bundles import Bundle
from framestate.engine import Engine
from framestate.server import Server, Settings
from framestate.vision import Box, Frame, decode_image, encode_image
from framestate.vision.synthetic import demo_clip
from framestate.wire.format import MOST_TEXT
from framestate.wire.kinds import Parts, read, unpacked
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from .clips import RATE, write_clip
from .tiny_stream import write_stream

MODEL = "tracker-nano"


@dataclass
class Answer:
    """What a request was answered with."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Running:
    """A server in a thread, and requests to it."""

    def __init__(self, settings: Settings, engines: dict[str, Engine]) -> None:
        self.engines = engines
        self.server = Server(settings, engines)
        self.hub = self.server.hub
        self.port = self.server.address[1]
        self._thread = threading.Thread(target=self.server.run, name="test-server")
        self._thread.start()
        while not self.server.started and self._thread.is_alive():
            time.sleep(0.01)
        assert self.server.started

    @property
    def engine(self) -> Engine:
        return next(iter(self.engines.values()))

    def stop(self) -> None:
        self.server.should_exit = True
        self._thread.join(30)
        assert not self._thread.is_alive()

    def call(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        """One request; ``x_session_id`` stands for the header ``x-session-id``."""
        return request(self.port, method, path, body, **headers)

    @contextmanager
    def stream(
        self, key: str = "new", path: str = "/v1/sessions/{}/stream", **options: Any
    ) -> Iterator[Talk]:
        """A WebSocket, nothing said yet."""
        address = f"ws://127.0.0.1:{self.port}{path.format(key)}"
        with connect(address, compression=None, max_size=None, **options) as socket:
            yield Talk(socket)


def request(port: int, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(
            method, path, body, {name.replace("_", "-"): value for name, value in headers.items()}
        )
        answer = connection.getresponse()
        return Answer(answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read())
    finally:
        connection.close()


class Process:
    """``framestate serve`` as a process of its own."""

    def __init__(self, *arguments: str, before: tuple[str, ...] = (), **settings: str) -> None:
        environment = {name: value for name, value in os.environ.items() if "FRAMESTATE" not in name}
        environment |= {f"FRAMESTATE_SERVE_{name.upper()}": value for name, value in settings.items()}
        command = [*before, sys.executable, "-m", "framestate.cli.main", "serve", "--port", "0", *arguments]
        self.lines: list[str] = []
        self._process = subprocess.Popen(
            command, env=environment | {"OMP_NUM_THREADS": "1"}, stderr=subprocess.PIPE, text=True
        )
        self.pid = self._process.pid
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self.lines.append(line)
            if line.startswith("page: "):
                break
        else:
            raise AssertionError("".join(self.lines))
        self._reader = threading.Thread(target=self._read, name="test-process")
        self._reader.start()
        self.port = int(line.split("://")[1].split("/")[0].rpartition(":")[2])

    def _read(self) -> None:
        assert self._process.stderr is not None
        self.lines += list(self._process.stderr)

    call = Running.call
    stream = Running.stream

    def end(self, number: signal.Signals) -> int:
        """Sends a signal, and returns the exit code."""
        self._process.send_signal(number)
        try:
            return self._process.wait(30)
        finally:
            self._process.kill()
            self._process.wait()
            self._reader.join()
            assert self._process.stderr is not None
            self._process.stderr.close()

    @property
    def ended(self) -> bool:
        return self._process.returncode is not None


def after_a_round(folder: Path) -> None:
    """Waits until what is true now is in the snapshots below a folder, which are taken every 0.2 s."""
    now, end = time.time_ns(), time.monotonic() + 3
    while time.monotonic() < end:
        if any(path.stat().st_mtime_ns > now for path in folder.rglob("sessions/*") if path.is_file()):
            break
        time.sleep(0.02)
    time.sleep(0.3)  # that one may have begun before


@pytest.fixture
def process() -> Iterator[Callable[..., Process]]:
    """Starts servers as processes, and ends those that are left."""
    started: list[Process] = []

    def start(*arguments: str, **settings: Any) -> Process:
        started.append(Process(*arguments, **settings))
        return started[-1]

    yield start
    for one in started:
        if not one.ended:
            one.end(signal.SIGKILL)


class Talk:
    """One side of a stream, in the wire's own words."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.parts: list[wire.Picture] = []

    def say(self, content: wire.Message | wire.Picture) -> None:
        picture = isinstance(content, wire.Picture)
        self.socket.send(wire.encode_picture(content) if picture else wire.encode_message(content))  # type: ignore[arg-type]

    def hear(self, timeout: float = 20) -> Any:
        data = self.socket.recv(timeout)
        if not isinstance(data, str):
            picture = wire.decode_picture(data)
            if picture.kind != "frame":
                self.parts.append(picture)
            return picture
        message = wire.decode_message(data, MOST_TEXT)
        if not isinstance(message, wire.Answer):
            return message
        parts, self.parts = self.parts, []
        assert message.parts == len(parts)
        return read_answer(message, parts)

    def rest(self) -> list[Any]:
        """All that comes until the other side closes."""
        heard = []
        try:
            while True:
                heard.append(self.hear())
        except ConnectionClosed:
            return heard

    def hello(self, **fields: Any) -> Any:
        self.say(wire.Hello(wire.VERSION, **fields))
        return self.hear()

    def frame(self, index: int, jpeg: bytes, **fields: Any) -> None:
        self.say(wire.Picture("frame", index, fields.pop("pts", index), RATE, "jpeg", jpeg, **fields))

    def begin(self, clip: list[bytes], box: Box, policy: str | None = "WAIT", **options: Any) -> None:
        """Hello, open and the first frame."""
        self.hello()
        self.say(wire.Open({"box": box.xywh}, policy=policy, **options))
        self.frame(0, clip[0])
        assert self.hear() == wire.Ack(0)

    def track(self, index: int, jpeg: bytes) -> Any:
        self.frame(index, jpeg)
        answer = self.hear()
        assert isinstance(answer, wire.Track), answer
        assert answer.frame_index == index
        return answer


def read_answer(message: wire.Answer, parts: list[wire.Picture]) -> Any:
    """What an answer says; pictures stay as they came."""
    pictures: list[Any] = [one for one in parts if one.kind == "made"]
    tensors = [unpacked(one.payload) for one in parts if one.kind == "tensor"]
    if message.kind == "output":
        pictures = [Frame(decoded(one), one.pts, one.time_base, one.index) for one in pictures]
    return read(
        message.kind,
        message.values,
        Parts(message.index, pictures, tensors, message.dropped, message.timings),
    )


def decoded(picture: wire.Picture) -> Any:
    """The pixels of a picture."""
    if picture.encoding == "rgb":
        return np.frombuffer(picture.payload, np.uint8).reshape(picture.height, picture.width, 3)
    return decode_image(picture.payload)


Serve = Callable[..., Running]


def load(capacity: int = 8) -> Engine:
    return Engine.load(MODEL, runtime="onnx", device="cpu", threads=1, capacity=capacity)


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts servers with these settings; in the end every slot is free or in use, none lost."""
    started: list[Running] = []

    def start(capacity: int = 8, **settings: Any) -> Running:
        engine = load(capacity)
        try:
            started.append(Running(Settings(port=0, **settings), {MODEL: engine}))
        except BaseException:
            engine.close()
            raise
        return started[-1]

    yield start
    for running in started:
        running.stop()
        running.engine.slots.check()
        running.engine.close()


@pytest.fixture(scope="session")
def tiny_stream(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A model of the task ``stream``, see ``write_stream``: made once."""
    return write_stream(tmp_path_factory.mktemp("bundles") / "tiny-stream")


@pytest.fixture(scope="session")
def make_running() -> Callable[..., Running]:
    """Starts a server over engines that the caller closes."""
    return Running


@pytest.fixture(scope="module")
def shared() -> Iterator[Running]:
    """One server for all tests of a file that change nothing about it."""
    engine = load(16)
    running = Running(Settings(port=0), {MODEL: engine})
    yield running
    running.stop()
    engine.slots.check()
    engine.close()


@pytest.fixture(scope="module")
def both(tiny_interpolator: Bundle, make_running: Any) -> Iterator[Any]:
    """A server with a tracker and an interpolator."""
    engines = {
        "tracker-nano": Engine.load("tracker-nano", runtime="onnx", threads=1, capacity=2),
        "tiny": Engine.load(tiny_interpolator, runtime="onnx", threads=1, capacity=2),
    }
    running = make_running(Settings(port=0), engines)
    yield running
    running.stop()
    for engine in engines.values():
        engine.slots.check()
        assert engine.slots.num_used == 0
        engine.close()


@pytest.fixture(scope="session")
def film() -> tuple[list[bytes], Box]:
    """Fourteen frames of 160 x 120 as JPEGs, and the target's box in the first."""
    pairs = [(encode_image(image, "jpeg"), box) for image, box, _ in demo_clip(3, 14, (160, 120))]
    return [jpeg for jpeg, _ in pairs], pairs[0][1]


@pytest.fixture(scope="session")
def truth(film: tuple[list[bytes], Box]) -> list[Box]:
    """The boxes of the film's frames after the first, as the engine tracks them inline."""
    frames = [Frame(decode_image(jpeg), index, RATE, index) for index, jpeg in enumerate(film[0])]
    with load(1) as engine:
        target = engine.open(frames[0], box=film[1])
        return [target.push(frame).box for frame in frames[1:]]


@pytest.fixture(scope="session")
def clip_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of 160 x 120, ten frames a second."""
    return write_clip(tmp_path_factory.mktemp("video") / "clip.mp4", 20, drawn=20, rate=10)


def query(box: Box) -> str:
    return f"box={box.x},{box.y},{box.w},{box.h}"


@pytest.fixture(scope="session")
def until() -> Callable[..., Any]:
    """Waits for something to become true, and returns it."""

    def wait(condition: Callable[[], Any], seconds: float = 20.0) -> Any:
        end = time.monotonic() + seconds
        while not (value := condition()):
            assert time.monotonic() < end, "it never came true"
            time.sleep(0.02)
        return value

    return wait


@pytest.fixture
def open_session(film: tuple[list[bytes], Box]) -> Callable[..., str]:
    """Opens a session over REST and returns its id."""

    def start(running: Running, key: str | None = None, more: str = "") -> str:
        headers = {} if key is None else {"x_session_id": key}
        path = f"/v1/sessions?{query(film[1])}&pts=0&time_base=1/25{more}"
        answer = running.call("POST", path, film[0][0], **headers)
        assert answer.status == 201, answer.body
        return str(answer.json["session"])

    return start
