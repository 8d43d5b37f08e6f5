"""What a tracker's memory saves: time of a frame by number of templates, and over thousands of frames."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

import numpy as np

from ..engine import Engine, Session
from ..errors import OptionError, ParityError
from ..runtimes import Arrays
from .timing import EndlessClip, collected, interleaved, rss_mb

TOLERANCE = 1e-4
"""Largest difference between the outputs of the three forms, on outputs of about 1."""
SETTLING = 1000
"""Frames after which memory is first looked at, and over which a median is taken."""


@dataclass(frozen=True)
class HistoryPoint:
    """One number of templates. Times in milliseconds of one model call a frame on one thread, medians.

    They are of the processor, so a busy machine hardly changes them.

    Attributes:
        history: templates.
        stateless_ms: everything again on every frame: templates through the stem, all tokens through
            the layers.
        stateful_ms: the step, whose state holds the templates.
        speedup: ``stateless_ms`` over ``stateful_ms``.
        cached_ms, cached_speedup: the stateless form with the stem's features of the templates kept.
        max_abs: largest difference between any two outputs of eager, stateless, cached and stateful.
    """

    history: int
    stateless_ms: float
    stateful_ms: float
    speedup: float
    cached_ms: float
    cached_speedup: float
    max_abs: float

    def to_json(self) -> dict[str, Any]:
        """An entry of ``points`` as ``bench history --json`` prints it."""
        return asdict(self)


@dataclass(frozen=True)
class Flatness:
    """One session over thousands of frames, everything included. Times are medians in milliseconds.

    Attributes:
        frames: that the session went through.
        first_ms, last_ms: of its first and of its last ``SETTLING`` frames.
        change: ``last_ms`` over ``first_ms``, less 1. The two are minutes apart, so it has in it what else
            the machine did.
        fresh_ms, aged_ms: of as many more frames, taken in turn by a session that was just opened and by
            this one.
        aged_change: ``aged_ms`` over ``fresh_ms``, less 1: age alone.
        rss_growth_mb: memory after the last frame less that after the first ``SETTLING``.
    """

    frames: int
    first_ms: float
    last_ms: float
    change: float
    fresh_ms: float
    aged_ms: float
    aged_change: float
    rss_growth_mb: float

    def to_json(self) -> dict[str, Any]:
        """``flatness`` as ``bench history --json`` prints it."""
        return asdict(self)


def measure_history(
    cases: Iterable[tuple[int, Mapping[str, Callable[[], Arrays]], Arrays]],
    *,
    repetitions: int = 60,
    warm_up: int = 2,
) -> list[HistoryPoint]:
    """Times the forms "stateless", "cached" and "stateful" of each number of templates, taking turns.

    Args:
        cases: for each number of templates, the forms as calls that give outputs, and eager's outputs.
        repetitions: of each call.
        warm_up: calls before, unmeasured.

    Raises:
        ParityError: the forms do not give the same outputs, so comparing their times would mean nothing.
        OptionError: nothing is to be repeated.
    """
    calls: dict[str, Callable[[], Arrays]] = {}
    differences: dict[int, float] = {}
    for history, forms, reference in cases:
        differences[history] = _verified(history, forms, reference)
        calls |= {f"{history} {form}": call for form, call in forms.items()}
    seconds = interleaved(calls, repetitions, warm_up=warm_up, clock=time.process_time)
    times = {name: 1e3 * median(taken) for name, taken in seconds.items()}
    points = []
    for history, difference in differences.items():
        stateless, cached, stateful = (
            times[f"{history} {form}"] for form in ("stateless", "cached", "stateful")
        )
        points.append(
            HistoryPoint(
                history, stateless, stateful, stateless / stateful, cached, cached / stateful, difference
            )
        )
    return points


def _verified(history: int, forms: Mapping[str, Callable[[], Arrays]], reference: Arrays) -> float:
    worst = 0.0
    for form, call in forms.items():
        outputs = call()
        for name, expected in reference.items():
            found = float(np.abs(outputs[name] - expected).max())
            worst = max(worst, found if math.isfinite(found) else math.inf)
        if worst > TOLERANCE:
            raise ParityError(
                f"with {history} templates the {form} form is {worst:.1e} from eager PyTorch, "
                f"and {TOLERANCE:.0e} is allowed",
                "the two do not compute the same tracker; report it",
            )
    return worst


def measure_flatness(
    engine: Engine, clip: EndlessClip, *, frames: int = 10_000, tick: Callable[[], None] = lambda: None
) -> Flatness:
    """Sends one session ``frames`` frames, inline, with two free rows.

    Raises:
        OptionError: there are fewer than 2 frames, or this system does not tell how much memory is in use.
        CapacityError: the engine has not two free rows.
    """
    if frames < 2:
        raise OptionError(f"frames is {frames}", "give at least 2")
    part = min(SETTLING, frames // 2)
    trial = engine.task.trial
    with engine.open(**trial(clip.frame(0), clip.box)) as aged, collected():
        seconds = np.zeros(frames)
        before = 0.0
        for index in range(frames):
            frame = clip.frame(index + 1)
            began = time.perf_counter()
            aged.push(frame)
            seconds[index] = time.perf_counter() - began
            if index + 1 == part:
                before = rss_mb()
            tick()
        growth = rss_mb() - before
        with engine.open(**trial(clip.frame(frames), clip.box)) as fresh:
            at = [frames]

            def move() -> None:
                at[0] += 1

            def moved(session: Session[Any]) -> Callable[[], object]:
                return lambda: session.push(clip.frame(at[0]))

            pair = _side_by_side({"fresh": moved(fresh), "aged": moved(aged)}, part, move)
    first, last = 1e3 * float(np.median(seconds[:part])), 1e3 * float(np.median(seconds[-part:]))
    return Flatness(
        frames, first, last, last / first - 1, pair["fresh"], pair["aged"], pair["aged"] / pair["fresh"] - 1,
        growth,
    )  # fmt: skip


def _side_by_side(
    calls: Mapping[str, Callable[[], object]], rounds: int, move: Callable[[], None]
) -> dict[str, float]:
    """Median milliseconds of two calls that take turns at going first; ``move`` comes before each round."""
    times: dict[str, list[float]] = {name: [] for name in calls}
    for turn in range(rounds):
        move()
        for name in list(calls)[:: 1 if turn % 2 else -1]:
            began = time.perf_counter()
            calls[name]()
            times[name].append(time.perf_counter() - began)
    return {name: 1e3 * median(taken) for name, taken in times.items()}
