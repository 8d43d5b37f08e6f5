"""The processes of a serving benchmark: the server, the load on it, and the bare engine beside them."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from ..client import AsyncClient, AsyncStream
from ..engine import Engine, Session
from ..errors import FramestateError, RunError
from ..vision import Box, Frame, decode_image
from .timing import RATE, collected

START_S = 120.0
_ADDRESS = re.compile(r"page: (http://\S+?)/? ")


@dataclass(frozen=True)
class Work:
    """What both sides are fed: JPEG files that are sent round and round, and how the engine is loaded."""

    jpegs: tuple[bytes, ...]
    box: Box
    model: str
    runtime: str
    device: str
    workers: int
    capacity: int

    def jpeg(self, index: int) -> bytes:
        """Frame ``index``: forwards and backwards in turn, so that nothing ever jumps."""
        turn = 2 * len(self.jpegs) - 2
        place = index % turn
        return self.jpegs[min(place, turn - place)]


@dataclass(frozen=True)
class Round:
    """What one round gave: frames a second of all sessions together, and the seconds that each frame took."""

    fps: float
    waits: tuple[float, ...]


@dataclass(frozen=True)
class Opening:
    """What a session of the model is opened with, as its task has it for a trial.

    Attributes:
        on_frame: whether with the first frame.
        given: what else the task takes.
    """

    on_frame: bool
    given: dict[str, Any]

    @classmethod
    def of(cls, engine: Engine, work: Work) -> Opening:
        """For the engine's task."""
        given = engine.task.trial(Frame(decode_image(work.jpeg(0)), 0, RATE, 0), work.box)
        return cls(given.pop("frame", None) is not None, given)


Order = tuple[int, int, int]
"""Sessions, frames of each that are measured, and frames of each before."""


class Worker:
    """A process that runs one round after another; ``ready`` is what it said when it could."""

    def __init__(self, target: Callable[..., None], *arguments: Any) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, far = context.Pipe()
        self._process = context.Process(target=target, args=(far, *arguments), daemon=True)
        self._process.start()
        far.close()
        self.ready = self._hear()

    def run(self, order: Order) -> Round:
        """One round. Raises what the process raised, or RunError when it died."""
        self._pipe.send(order)
        answer = self._hear()
        assert isinstance(answer, Round)
        return answer

    def close(self) -> None:
        """Ends the process."""
        self._pipe.close()
        self._process.join(10)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()

    def _hear(self) -> object:
        try:
            answer = self._pipe.recv()
        except (EOFError, OSError):
            raise RunError("a process of the benchmark died", "look at what it printed, above") from None
        if isinstance(answer, FramestateError):
            raise answer
        return answer


def answer_orders(pipe: Connection, run: Callable[[Order], Round], ready: object = None) -> None:
    """The worker's side: says ``ready``, then makes rounds until the pipe is closed."""
    pipe.send(ready)
    while True:
        try:
            order = pipe.recv()
        except (EOFError, OSError):
            return
        try:
            with collected():
                pipe.send(run(order))
        except FramestateError as error:
            pipe.send(error)


# The bare engine, in a process of its own


def run_engine(pipe: Connection, work: Work) -> None:
    """Worker: the engine, fed by one thread a session, each decoding its own JPEGs."""
    try:
        engine = Engine.load(
            work.model, runtime=work.runtime, device=work.device, workers=work.workers, capacity=work.capacity
        )
    except FramestateError as error:
        pipe.send(error)
        return
    with engine:
        opening = Opening.of(engine, work)
        engine.service.start()
        answer_orders(pipe, lambda order: engine_round(engine, work, opening, order), opening)


def engine_round(engine: Engine, work: Work, opening: Opening, order: Order) -> Round:
    """All sessions at once, each sending its next frame as soon as it has its answer."""
    count, frames, before = order
    first = Frame(decode_image(work.jpeg(0)), 0, RATE, 0) if opening.on_frame else None
    sessions = [engine.open(first, **opening.given) for _ in range(count)]
    gate = threading.Barrier(count + 1)
    waits: list[list[float]] = [[] for _ in sessions]

    def follow(session: Session[Any], taken: list[float]) -> None:
        for index in range(1, before + frames + 1):
            if index == before + 1:
                gate.wait()
            began = time.perf_counter()
            session.push(Frame(decode_image(work.jpeg(index)), index, RATE, index))
            taken.append(time.perf_counter() - began)

    threads = [
        threading.Thread(target=follow, args=pair, daemon=True) for pair in zip(sessions, waits, strict=True)
    ]
    for thread in threads:
        thread.start()
    gate.wait()
    began = time.perf_counter()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - began
    for session in sessions:
        session.close()
    return Round(count * frames / seconds, tuple(wait for taken in waits for wait in taken[before:]))


# The load on a server, in a process of its own


def run_load(pipe: Connection, url: str, work: Work, opening: Opening) -> None:
    """Worker: one WebSocket a session, over real sockets."""
    answer_orders(pipe, lambda order: asyncio.run(load_round(url, work, opening, order)))


async def load_round(url: str, work: Work, opening: Opening, order: Order) -> Round:
    """All sessions at once, each sending its next frame as soon as it has its answer."""
    count, frames, before = order
    async with AsyncClient(url, reconnect_s=0) as client:
        first = work.jpeg(0) if opening.on_frame else None
        streams = [
            await client.open(None, first, policy="WAIT", rate=float(1 / RATE), **opening.given)
            for _ in range(count)
        ]

        async def follow(stream: AsyncStream, indices: Sequence[int]) -> list[float]:
            taken = []
            for index in indices:
                began = time.perf_counter()
                await stream.push(work.jpeg(index))
                taken.append(time.perf_counter() - began)
            return taken

        await asyncio.gather(*(follow(stream, range(1, before + 1)) for stream in streams))
        began = time.perf_counter()
        indices = range(before + 1, before + frames + 1)
        waits = await asyncio.gather(*(follow(stream, indices) for stream in streams))
        seconds = time.perf_counter() - began
        for stream in streams:
            await stream.close()
    return Round(count * frames / seconds, tuple(wait for taken in waits for wait in taken))


# The server, as anybody starts it


@contextmanager
def server_process(work: Work) -> Iterator[str]:
    """``framestate serve`` on a free port of this machine, until the block ends; gives its address.

    Raises:
        RunError: it did not start; with what it said.
    """
    command = [
        sys.executable, "-m", "framestate.cli.main", "serve", "--port", "0", "--model", work.model,
        "--runtime", work.runtime, "--device", work.device, "--max-sessions", str(work.capacity),
    ]  # fmt: skip
    settings = {"FRAMESTATE_SERVE_WORKERS": str(work.workers), "FRAMESTATE_SERVE_LOG_LEVEL": "warning"}
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **settings})
        try:
            yield wait_for_address(process, lambda: said(log))
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def wait_for_address(process: subprocess.Popen[bytes], heard: Callable[[], str]) -> str:
    """The address that a server prints when it listens. Raises RunError."""
    end = time.monotonic() + START_S
    while time.monotonic() < end and process.poll() is None:
        found = _ADDRESS.search(heard())
        if found:
            return found[1]
        time.sleep(0.05)
    raise RunError(
        f"the server did not start: {heard()[-400:].strip()}", "start it by itself: framestate serve"
    )


def said(log: Any) -> str:
    """Everything in a log file that another process writes."""
    log.seek(0)
    return str(log.read())
