"""What encoding a frame once is worth: a pair whose first frame was encoded before, and one without."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

import numpy as np
from rich.table import Table

from ..engine.interpolation import InterpolationModel
from ..engine.interpolation.padding import as_image, as_input, as_levels, padded_size
from ..errors import StepError
from ..vision import Image
from .timing import interleaved


@dataclass(frozen=True)
class PairResult:
    """Medians in milliseconds of one pair of frames, one frame made between them.

    Attributes:
        width, height: of the frames, in pixels.
        encode_ms, motion_ms, interpolate_ms: the three functions alone.
        once_ms: a pair as a stream has it: the second frame is encoded, the first one was before.
        twice_ms: a pair that stands alone: both frames are encoded.
        gain: ``twice_ms`` over ``once_ms``, the median of the rounds.
    """

    width: int
    height: int
    encode_ms: float
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
    start = model.start(*padded)
    one, other = as_input(first, *padded), as_input(second, *padded)
    known = model.encode(one)
    features = model.encode(other)
    motion = model.motion(known, features, start)

    def between(earlier: Any) -> Image:
        later = model.encode(as_input(second, *padded))
        made = model.interpolate(earlier, later, model.motion(earlier, later, start), 0.5)
        return as_image(as_levels(made, height, width))

    calls: dict[str, Callable[[], Any]] = {
        "encode": lambda: model.encode(other),
        "motion": lambda: model.motion(known, features, start),
        "interpolate": lambda: model.interpolate(known, features, motion, 0.5),
        "once": lambda: between(known),
        "twice": lambda: between(model.encode(as_input(first, *padded))),
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
        ("motion", result.motion_ms),
        ("interpolate", result.interpolate_ms),
        ("pair, first frame encoded before", result.once_ms),
        ("pair, both frames encoded", result.twice_ms),
    ):
        table.add_row(name, f"{value:.2f}")
    return table
