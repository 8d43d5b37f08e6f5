"""What encoding a frame once is worth: a pair whose first frame was encoded before, and one without."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from statistics import median
from typing import Any

import numpy as np
from rich.table import Table

from ..engine.interpolation import InterpolationModel
from ..engine.interpolation.model import Features, Motion
from ..engine.interpolation.padding import padded as grow
from ..engine.interpolation.padding import padded_size, put_pixels
from ..engine.step_runner import StepRunner
from ..errors import StepError
from ..runtimes import Arrays
from ..vision import Image
from ..vision.motion import Grey, Neighbour
from .timing import interleaved

Seen = tuple[Features, Grey | None]


@dataclass(frozen=True)
class PairResult:
    """Medians in milliseconds of one pair of frames, one frame made between them.

    Attributes:
        width, height: of the frames, in pixels.
        encode_ms, motion_ms, interpolate_ms: the three functions alone.
        start_ms: finding the flow that motion starts from; 0 where the model starts from none.
        once_ms: a pair as a stream has it: the second frame is encoded, the first one was before.
        twice_ms: a pair that stands alone: both frames are encoded.
        gain: ``twice_ms`` over ``once_ms``, the median of the rounds.
    """

    width: int
    height: int
    encode_ms: float
    start_ms: float
    motion_ms: float
    interpolate_ms: float
    once_ms: float
    twice_ms: float
    gain: float

    def to_json(self) -> dict[str, Any]:
        """What ``bench pair --json`` prints."""
        return asdict(self)


def measure_pair(
    model: InterpolationModel, first: Image, second: Image, *, repetitions: int = 30, warm_up: int = 3
) -> PairResult:
    """Times both ways in turn, pictures in and out included, after checking that they make the same frame.

    Raises:
        StepError: the model failed, or both ways differ.
        OptionError: nothing is to be repeated.
    """
    height, width = first.shape[:2]
    padded = padded_size(height, width, model.multiple)
    start, prior, run = model.start(*padded), model.prior, StepRunner(model.runtime)

    def seen(image: Image) -> Seen:
        """A frame encoded, and the guide of its flow."""
        grown = grow(image, *padded)
        return run(model.encode(image, padded)), None if prior is None else prior.guide(grown)

    def flow(earlier: Seen, later: Seen) -> Arrays:
        if prior is None or earlier[1] is None or later[1] is None:
            return {}
        found = prior.find(earlier[1], later[1], *padded)
        neighbour = Neighbour(found)  # as good as any for its time
        return prior.told(found, neighbour, neighbour)

    def between(earlier: Seen) -> Image:
        later = seen(second)
        motion = run(model.motion(earlier[0], later[0], start, flow(earlier, later)))
        return made(earlier, later, motion)

    def made(earlier: Seen, later: Seen, motion: Motion) -> Image:
        image = np.empty_like(first)
        run(model.interpolate(earlier[0], later[0], motion, 0.5, partial(put_pixels, image)))
        return image

    one, two = seen(first), seen(second)
    found = flow(one, two)
    motion = run(model.motion(one[0], two[0], start, found))
    calls: dict[str, Callable[[], Any]] = {
        "encode": lambda: run(model.encode(second, padded)),
        "start": lambda: flow(one, two),
        "motion": lambda: run(model.motion(one[0], two[0], start, found)),
        "interpolate": lambda: made(one, two, motion),
        "once": lambda: between(one),
        "twice": lambda: between(seen(first)),
    }
    if not np.array_equal(calls["once"](), calls["twice"]()):
        raise StepError(
            "features that were kept make another frame than fresh ones",
            "export the model again, and report it",
        )
    times = interleaved(calls, repetitions, warm_up=warm_up)
    gains = [twice / once for once, twice in zip(times["once"], times["twice"], strict=True)]
    medians = {f"{name}_ms": 1e3 * median(times[name]) for name in calls}
    return PairResult(width=width, height=height, gain=median(gains), **medians)


def pair_table(result: PairResult) -> Table:
    """One row a part, and what encoding once gains."""
    table = Table(
        title=f"One frame between two, {result.width}x{result.height}",
        caption=f"encoding each frame once gains {result.gain:.2f}x",
    )
    table.add_column("part")
    table.add_column("ms", justify="right")
    for name, value in (
        ("encode", result.encode_ms),
        ("the flow to start from", result.start_ms),
        ("motion", result.motion_ms),
        ("interpolate", result.interpolate_ms),
        ("pair, first frame encoded before", result.once_ms),
        ("pair, both frames encoded", result.twice_ms),
    ):
        table.add_row(name, f"{value:.2f}")
    return table
