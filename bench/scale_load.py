"""The load on a cluster, from a process of its own: sessions of chosen servers, each sending all it can"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import NamedTuple

from ..client import AsyncClient, AsyncStream
from .serve_process import Round, Work
from .timing import RATE, collected

WARM_UP = 5


class Sent(NamedTuple):
    """One frame: its seconds, whether its session moved meanwhile, and parts of it as its server says."""

    wait: float
    moved: bool
    decode: float
    step: float
    locked: float


Taken = list[Sent]


@dataclass(frozen=True)
class LoadRound(Round):
    """What one round gave, besides what every round gives.

    Attributes:
        cpu_s: of the load's own process.
        moved_waits: those of ``waits`` in which the session moved.
        decodes, steps: seconds of every frame's at its server.
        locked: of the steps, what is before and after the model, in Python.
        lost: frames that a session forgot.
    """

    cpu_s: float = 0.0
    moved_waits: tuple[float, ...] = ()
    decodes: tuple[float, ...] = ()
    steps: tuple[float, ...] = ()
    locked: tuple[float, ...] = ()
    lost: int = 0


@dataclass(frozen=True)
class LoadOrder:
    """A round: ids of the sessions, and how many frames each sends, or for how many seconds it sends."""

    keys: tuple[str, ...]
    frames: int = 0
    seconds: float = 0.0


def run_scale_load(pipe: Connection, url: str, work: Work) -> None:
    """Worker: rounds until the pipe is closed."""
    pipe.send("ready")
    while True:
        try:
            order = pipe.recv()
        except (EOFError, OSError):
            return
        with collected():
            pipe.send(asyncio.run(load_round(url, work, order)))


async def load_round(url: str, work: Work, order: LoadOrder) -> LoadRound:
    """All sessions at once, each sending its next frame as soon as it has its answer."""
    async with AsyncClient(url) as client:
        targets = [
            await client.track(work.jpeg(0), work.box, session_id=key, policy="WAIT", rate=float(1 / RATE))
            for key in order.keys
        ]
        places = [1] * len(targets)

        async def follow(number: int, target: AsyncStream, frames: int, until: float) -> Taken:
            taken: Taken = []
            while len(taken) < frames or time.perf_counter() < until:
                began, before = time.perf_counter(), target.reconnects
                timings = (await target.push(work.jpeg(places[number]))).timings
                places[number] += 1
                locked = 1e-3 * (timings.prepare_ms + timings.finish_ms)
                step = locked + 1e-3 * timings.model_ms
                seconds = time.perf_counter() - began
                taken.append(
                    Sent(seconds, target.reconnects > before, 1e-3 * timings.decode_ms, step, locked)
                )
            return taken

        await asyncio.gather(*(follow(number, one, WARM_UP, 0.0) for number, one in enumerate(targets)))
        cpu, began = time.process_time(), time.perf_counter()
        until = began + order.seconds
        rounds = await asyncio.gather(
            *(follow(number, one, order.frames, until) for number, one in enumerate(targets))
        )
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
        lost = sum(target.frames_lost for target in targets)
        for target in targets:
            await target.close()
    return round_of(rounds, seconds, cpu, lost)


def round_of(rounds: Sequence[Taken], seconds: float, cpu_s: float, lost: int) -> LoadRound:
    """The frames of all sessions as one round."""
    every = [one for taken in rounds for one in taken]
    return LoadRound(
        fps=len(every) / seconds,
        waits=tuple(one.wait for one in every),
        cpu_s=cpu_s,
        moved_waits=tuple(one.wait for one in every if one.moved),
        decodes=tuple(one.decode for one in every),
        steps=tuple(one.step for one in every),
        locked=tuple(one.locked for one in every),
        lost=lost,
    )
