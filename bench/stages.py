"""Where the time of a frame goes, stage by stage: functions of the engine under a stopwatch for a while."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ..engine import Engine, Target
from ..engine.templates import Templates
from ..engine.tracking import BoxFilter, TargetMemory, cropping
from .timing import EndlessClip

REST = "the rest"
STAGES = ("crop", "normalise", "model", "decode", "filter", "state rows", "template refresh", REST)
"""In the order of a frame. "template refresh" has the model's work on a fresh template in it, "model" not."""


class Stopwatch:
    """Seconds by stage; a stage that runs within another one stops that one's watch."""

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(STAGES, 0.0)
        self._stack = [REST]
        self._since = time.perf_counter()

    def lap(self) -> None:
        """Counts the time since the last lap to the stage that is running."""
        now = time.perf_counter()
        self.seconds[self._stack[-1]] += now - self._since
        self._since = now

    def timed(self, stage: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function, its time counted to a stage; within a template refresh the model counts to that."""

        def run(*arguments: Any, **options: Any) -> Any:
            self.lap()
            inner = self._stack[-1] == "template refresh"
            self._stack.append("template refresh" if inner else stage)
            try:
                return function(*arguments, **options)
            finally:
                self.lap()
                self._stack.pop()

        return run


def measure_stages(
    engine: Engine, target: Target, clip: EndlessClip, first: int, frames: int
) -> dict[str, float]:
    """Milliseconds a frame in each of ``STAGES``, the mean over ``frames`` frames from ``first`` on.

    The stopwatch itself costs about a microsecond a function, which is in these numbers and in no others.
    """
    watch = Stopwatch()
    with _watched(engine, watch):
        target.update(clip.frame(first))
        watch.seconds = dict.fromkeys(STAGES, 0.0)
        watch.lap()
        watch.seconds[REST] = 0.0
        for index in range(first + 1, first + 1 + frames):
            target.update(clip.frame(index))
        watch.lap()
    return {stage: 1e3 * seconds / frames for stage, seconds in watch.seconds.items()}


@contextmanager
def _watched(engine: Engine, watch: Stopwatch) -> Iterator[None]:
    """Puts the watch around the functions of each stage, and takes it off again."""
    task: Any = engine.task
    places: list[tuple[Any, str, str]] = [
        (cropping, "cut", "crop"),
        (cropping, "normalise", "normalise"),
        (engine.runtime, "call", "model"),
        (task, "_decode", "decode"),
        *((BoxFilter, name, "filter") for name in ("predict", "gate", "update", "coast", "save")),
        (TargetMemory, "observe", "filter"),
        *((engine.store, name, "state rows") for name in ("read", "write")),
        (Templates, "fresh", "template refresh"),
        (Templates, "store", "template refresh"),
    ]
    kept = [(owner, name, owner.__dict__.get(name)) for owner, name, _ in places]
    try:
        for owner, name, stage in places:
            setattr(owner, name, watch.timed(stage, getattr(owner, name)))
        yield
    finally:
        for owner, name, original in reversed(kept):
            if original is None:  # an attribute of the class, hidden by ours
                delattr(owner, name)
            else:
                setattr(owner, name, original)
