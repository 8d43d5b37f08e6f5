"""What every measurement of speed needs: a clip that never ends, percentiles, turns taken, memory in use."""

from __future__ import annotations

import gc
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from ..errors import OptionError
from ..runtimes import Arrays, Runtime, RuntimeOver, State
from ..vision import Box, Frame, Image
from ..vision.synthetic import demo_clip

Value = TypeVar("Value")

RATE = Fraction(1, 25)
"""Seconds from one frame of an endless clip to the next."""


class EndlessClip:
    """A short rendered clip, shown forwards and backwards in turn, so that nothing ever jumps.

    Args:
        size: width and height in pixels.
        images: that are rendered and kept, at least 2.
        seed: of the rendering.
    """

    def __init__(self, size: tuple[int, int] = (640, 480), images: int = 60, seed: int = 3) -> None:
        if images < 2:
            raise OptionError(f"a clip of {images} images does not move", "give at least 2")
        rendered = list(demo_clip(seed, images, size))
        self._images: list[Image] = [image for image, _, _ in rendered]
        self.box: Box = rendered[0][1]
        """The target in frame 0."""

    def frame(self, index: int) -> Frame:
        """Frame ``index``, from 0 on without end; nothing is copied."""
        turn = 2 * len(self._images) - 2
        place = index % turn
        return Frame(self._images[min(place, turn - place)], index, RATE, index)


class TimedRuntime(RuntimeOver):
    """A runtime that adds up the seconds spent in its calls: ``seconds`` is set to 0 by whoever reads it."""

    def __init__(self, runtime: Runtime) -> None:
        super().__init__(runtime)
        self.seconds = 0.0

    def call(self, function: str, inputs: Arrays, state: State | None) -> tuple[Arrays, State | None]:
        """The runtime's answer."""
        began = time.perf_counter()
        try:
            return super().call(function, inputs, state)
        finally:
            self.seconds += time.perf_counter() - began


def interleaved(
    calls: Mapping[str, Callable[[], Any]],
    repetitions: int,
    *,
    warm_up: int = 3,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Seconds of each call: every one once, then every one again, each round beginning with another.

    What else the machine does then hits all of them alike. Calls of one thread may be timed by
    ``time.process_time``, which other work hardly moves. Raises OptionError when nothing is to be repeated.
    """
    if repetitions < 1 or warm_up < 0:
        raise OptionError(f"repetitions is {repetitions} and warm_up {warm_up}", "give 1 or more, 0 or more")
    names = list(calls)
    times: dict[str, list[float]] = {name: [] for name in names}
    with collected():
        for turn in range(-warm_up, repetitions):
            first = turn % len(names)
            for name in names[first:] + names[:first]:
                began = clock()
                calls[name]()
                if turn >= 0:
                    times[name].append(clock() - began)
    return times


def percentiles_ms(seconds: Sequence[float], *shares: float) -> list[float]:
    """Percentiles (50 is the median) of times in seconds, in milliseconds."""
    return [float(value) for value in 1e3 * np.percentile(seconds, shares)]


def rss_mb() -> float:
    """Memory of this process that lies in RAM, in MB (10^6 bytes). Raises OptionError where nobody says."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError as error:
        raise OptionError(
            f"memory in use cannot be read on {sys.platform} ({error})", "measure flatness on Linux"
        ) from error
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


@contextmanager
def collected() -> Iterator[None]:
    """Without what was left by earlier work: garbage is collected before."""
    gc.collect()
    yield
