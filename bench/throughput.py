"""How many frames a second one engine gives as the number of sessions grows."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import fmean, median
from typing import Any

from ..engine import Engine, Session
from ..errors import OptionError
from .timing import EndlessClip, percentiles_ms


@dataclass(frozen=True)
class ThroughputPoint:
    """One number of sessions, each sending its next frame as soon as it has its answer.

    Attributes:
        sessions: that ran beside one another.
        fps_total: answers a second, all sessions together.
        fps_per_session: the same for one of them.
        p50_ms: median time from handing a frame over to its answer.
        p99_ms: the 99th percentile of that.
        batch_mean: frames a turn of the engine's lanes, which is one model call of each.
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
    engine: Engine,
    clip: EndlessClip,
    counts: Sequence[int],
    *,
    frames: int = 240,
    repetitions: int = 1,
    warm_up: int = 5,
) -> list[ThroughputPoint]:
    """Measures one engine under one number of sessions after another.

    Args:
        engine: with room for the most sessions; it must not be used inline.
        clip: what every session sends.
        counts: numbers of sessions, each at least 1.
        frames: that are measured in a round, all sessions together; each sends an equal part, rounded up.
        repetitions: rounds over all numbers, so that noise hits all alike. FPS is the median of the rounds,
            waits are of all rounds together.
        warm_up: that each session sends before, unmeasured.

    Raises:
        OptionError: a count or ``frames`` is below 1.
        CapacityError: the engine has too few rows.
    """
    if min(frames, repetitions) < 1 or warm_up < 0 or not counts or min(counts) < 1:
        raise OptionError(
            f"counts are {list(counts)}, frames {frames}, repetitions {repetitions}", "give 1 or more"
        )
    rounds: dict[int, list[Round]] = {count: [] for count in counts}
    for turn in range(repetitions):
        for count in list(counts)[:: 1 if turn % 2 == 0 else -1]:
            each = math.ceil(frames / count)
            rounds[count].append(asyncio.run(_round(engine, clip, count, each, warm_up)))
    return [_point(count, taken) for count, taken in rounds.items()]


@dataclass(frozen=True)
class Round:
    """What one round of one number of sessions gave: frames a second, seconds waited, frames a turn."""

    fps: float
    waits: list[float]
    batch: float


def _point(count: int, rounds: Sequence[Round]) -> ThroughputPoint:
    fps = median(one.fps for one in rounds)
    p50, p99 = percentiles_ms([wait for one in rounds for wait in one.waits], 50, 99)
    return ThroughputPoint(count, fps, fps / count, p50, p99, fmean(one.batch for one in rounds))


async def _round(engine: Engine, clip: EndlessClip, count: int, frames: int, warm_up: int) -> Round:
    service = engine.service
    sessions: list[Session[Any]] = []
    given = engine.task.trial(clip.frame(0), clip.box)
    try:
        for _ in range(count):
            sessions.append(await engine.opened(**given))
        await asyncio.gather(*(_send(session, clip, 1, warm_up) for session in sessions))
        turns, flown, began = service.num_steps, service.num_flown, time.perf_counter()
        waits = await asyncio.gather(*(_send(session, clip, 1 + warm_up, frames) for session in sessions))
        seconds = time.perf_counter() - began
        batch = (service.num_flown - flown) / (service.num_steps - turns)
    finally:
        for session in sessions:
            session.close()
    return Round(count * frames / seconds, [wait for of_one in waits for wait in of_one], batch)


async def _send(session: Session[Any], clip: EndlessClip, first: int, frames: int) -> list[float]:
    """Seconds from handing over to answer, frame by frame."""
    waits = []
    for index in range(first, first + frames):
        frame, began = clip.frame(index), time.perf_counter()
        await session.submit(frame)
        waits.append(time.perf_counter() - began)
    return waits
