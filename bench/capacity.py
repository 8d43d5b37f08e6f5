"""How many live sessions one engine keeps up with, at a frame rate and within a bound on an answer's age."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..engine import Engine, Policy, Session
from ..errors import FrameDroppedError, OptionError
from ..vision import Frame
from .timing import EndlessClip


@dataclass(frozen=True)
class CapacityTrial:
    """One number of sessions, each sending frames by the clock, whether or not the last one was answered.

    Attributes:
        sessions: that ran beside one another.
        p99_ms: 99th percentile of the age of an answer, counted from when the frame was due; a dropped frame
            counts as one that is never answered. None when more than a hundredth were dropped.
        dropped: frames that were dropped.
        sent: frames that were sent.
        passed: whether ``p99_ms`` is within the bound.
    """

    sessions: int
    p99_ms: float | None
    dropped: int
    sent: int
    passed: bool

    def to_json(self) -> dict[str, object]:
        """An entry of ``trials`` as ``bench capacity --json`` prints it."""
        return asdict(self)


def measure_capacity(
    engine: Engine,
    clip: EndlessClip,
    *,
    rate: float,
    slo_ms: float,
    seconds: float = 5.0,
    warm_up: float = 1.0,
    most: int = 256,
    tick: Callable[[CapacityTrial], None] = lambda trial: None,
) -> list[CapacityTrial]:
    """Tries numbers of sessions: doubled until one fails, then halved in between. In the order of the trials.

    Args:
        engine: with room for as many sessions as are tried; it must not be used inline.
        clip: what every session sends.
        rate: frames a second of each session.
        slo_ms: the bound on ``p99_ms``.
        seconds: of a trial, after ``warm_up`` seconds that do not count.
        most: sessions, at most.
        tick: told of each trial.

    Raises:
        OptionError: a number is not positive.
        CapacityError: the engine has too few rows.
    """
    if min(rate, slo_ms, seconds, most) <= 0 or warm_up < 0:
        raise OptionError(
            f"rate is {rate}, slo_ms {slo_ms}, seconds {seconds}, most {most}", "give numbers above 0"
        )
    trials: list[CapacityTrial] = []

    def fits(count: int) -> bool:
        trials.append(asyncio.run(_trial(engine, clip, count, rate, slo_ms, seconds, warm_up)))
        tick(trials[-1])
        return trials[-1].passed

    good, bad = 0, most + 1
    while good < most and bad > most:
        count = min(most, max(1, 2 * good))
        if fits(count):
            good = count
        else:
            bad = count
    while bad - good > 1 and good:
        middle = (good + bad) // 2
        if fits(middle):
            good = middle
        else:
            bad = middle
    return trials


def best_of(trials: list[CapacityTrial]) -> CapacityTrial | None:
    """The trial with the most sessions that passed; None where one session is too many."""
    return max((trial for trial in trials if trial.passed), key=lambda trial: trial.sessions, default=None)


async def _trial(
    engine: Engine,
    clip: EndlessClip,
    count: int,
    rate: float,
    slo_ms: float,
    seconds: float,
    warm_up: float,
) -> CapacityTrial:
    sessions: list[Session[Any]] = []
    given = engine.task.trial(clip.frame(0), clip.box)
    try:
        for _ in range(count):
            sessions.append(await engine.opened(policy=Policy.DROP_OLDEST, queue=2, **given))
        start = time.perf_counter() + 0.05
        # Sources are not in step with one another: each starts at its own part of the first period.
        feeds = [
            _feed(session, clip, start + place / (count * rate), rate, warm_up, seconds)
            for place, session in enumerate(sessions)
        ]
        ages = [age for of_one in await asyncio.gather(*feeds) for age in of_one]
    finally:
        for session in sessions:
            session.close()
    p99 = float(np.percentile(ages, 99, method="higher"))
    dropped = sum(math.isinf(age) for age in ages)
    shown = 1e3 * p99 if math.isfinite(p99) else None
    return CapacityTrial(count, shown, dropped, len(ages), shown is not None and shown <= slo_ms)


async def _feed(
    session: Session[Any], clip: EndlessClip, start: float, rate: float, warm_up: float, seconds: float
) -> list[float]:
    """Sends frames by the clock; the ages of their answers in seconds, infinite for a dropped one."""
    waiting = []
    for number in range(max(1, round((warm_up + seconds) * rate))):
        due = start + number / rate
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        waiting.append((due, asyncio.ensure_future(_age(session, clip.frame(number + 1), due))))
    ages = [await age for due, age in waiting if due - start >= warm_up]
    await asyncio.gather(*(age for _, age in waiting))
    return ages


async def _age(session: Session[Any], frame: Frame, due: float) -> float:
    try:
        await session.submit(frame)
    except FrameDroppedError:
        return math.inf
    return time.perf_counter() - due
