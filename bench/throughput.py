"""How many frames a second one engine gives as the number of sessions grows."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import numpy as np

from ..engine import Engine, Session
from ..errors import OptionError
from ..vision import Box, Image


@dataclass(frozen=True)
class ThroughputPoint:
    """One number of sessions, each sending its next frame as soon as it has its answer.

    Attributes:
        sessions: that ran beside one another.
        fps_total: answers a second, all sessions together.
        fps_per_session: the same for one of them.
        p50_ms: median time from handing a frame over to its answer.
        p99_ms: the 99th percentile of that.
        batch_mean: frames a step.
    """

    sessions: int
    fps_total: float
    fps_per_session: float
    p50_ms: float
    p99_ms: float
    batch_mean: float

    def to_json(self) -> dict[str, float]:
        """An entry of ``points`` as ``bench throughput --json`` prints it."""
        return asdict(self)


def measure_throughput(
    engine: Engine, image: Image, box: Box, counts: Sequence[int], *, frames: int = 100, warm_up: int = 5
) -> list[ThroughputPoint]:
    """Measures one engine under one number of sessions after another.

    Args:
        engine: with room for the most sessions; it must not be used inline.
        image: the picture that every session sends; what is in it costs nothing more or less.
        box: the target in it.
        counts: numbers of sessions, each at least 1.
        frames: that each session sends and that are measured.
        warm_up: that each sends before, unmeasured.

    Raises:
        OptionError: a count or ``frames`` is below 1.
        CapacityError: the engine has too few rows.
    """
    if frames < 1 or warm_up < 0 or not counts or min(counts) < 1:
        raise OptionError(f"counts are {list(counts)} and frames {frames}", "give 1 or more")
    return [asyncio.run(_point(engine, image, box, count, frames, warm_up)) for count in counts]


async def _point(
    engine: Engine, image: Image, box: Box, count: int, frames: int, warm_up: int
) -> ThroughputPoint:
    service = engine.service
    sessions: list[Session] = []
    try:
        for _ in range(count):
            sessions.append(await service.open(image, box))
        await asyncio.gather(*(_send(session, image, warm_up) for session in sessions))
        steps, began = service.num_steps, time.perf_counter()
        waits = await asyncio.gather(*(_send(session, image, frames) for session in sessions))
        seconds = time.perf_counter() - began
        steps = service.num_steps - steps
    finally:
        for session in sessions:
            session.close()
    p50, p99 = np.percentile([wait for of_one in waits for wait in of_one], [50, 99]).tolist()
    fps = count * frames / seconds
    return ThroughputPoint(count, fps, fps / count, 1e3 * p50, 1e3 * p99, count * frames / steps)


async def _send(session: Session, image: Image, frames: int) -> list[float]:
    """Seconds from handing over to answer, frame by frame."""
    waits = []
    for _ in range(frames):
        began = time.perf_counter()
        await session.submit(image)
        waits.append(time.perf_counter() - began)
    return waits
