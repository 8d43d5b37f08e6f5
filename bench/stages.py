"""Where the time of a frame goes, stage by stage: functions of the engine under a stopwatch for a while."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ..engine import Engine, Session
from ..engine.classification.model import ClassificationModel
from ..engine.interpolation import model as interpolation_model
from ..engine.interpolation import sized_model
from ..engine.interpolation import task as interpolating
from ..engine.interpolation.cuts import Sketch
from ..engine.interpolation.outside import Desk
from ..engine.interpolation.prior import Prior
from ..engine.stream import views
from ..engine.tracking import cropping
from ..engine.tracking.decode import CellDecoder, CentreDecoder, PointDecoder
from ..engine.tracking.following import Following
from ..engine.tracking.trajectory import TrajectoryDecoder
from .timing import EndlessClip

REST = "the rest"
STAGES = (
    *("crop", "normalise", "compare", "flow", "model", "warp", "decode", "filter", "picture", "state rows"),
    REST,
)  # fmt: skip
"""In the order of a frame; each task has some of them. "compare" looks for cuts and duplicates."""


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
        """The function, its time counted to a stage."""

        def run(*arguments: Any, **options: Any) -> Any:
            self.lap()
            self._stack.append(stage)
            try:
                return function(*arguments, **options)
            finally:
                self.lap()
                self._stack.pop()

        return run


def measure_stages(
    engine: Engine, session: Session[Any], clip: EndlessClip, first: int, frames: int
) -> dict[str, float]:
    """Milliseconds a frame in each of ``STAGES``, the mean over ``frames`` frames from ``first`` on.

    The stopwatch itself costs about a microsecond a function, which is in these numbers and in no others.
    """
    watch = Stopwatch()
    with _watched(engine, watch):
        session.push(clip.frame(first))
        watch.seconds = dict.fromkeys(STAGES, 0.0)
        watch.lap()
        watch.seconds[REST] = 0.0
        for index in range(first + 1, first + 1 + frames):
            session.push(clip.frame(index))
        watch.lap()
    return {stage: 1e3 * seconds / frames for stage, seconds in watch.seconds.items()}


@contextmanager
def _watched(engine: Engine, watch: Stopwatch) -> Iterator[None]:
    """Puts the watch around the functions of each stage, and takes it off again."""
    rows = [] if engine.store is None else [(engine.store, name) for name in ("read", "write")]
    stages: dict[str, list[tuple[Any, str]]] = {
        "crop": [(cropping, "cut")],
        "normalise": [
            (cropping, "normalise"),
            (interpolation_model, "as_input"),
            (ClassificationModel, "inputs"),
            (views.FrameInput, "of"),
        ],
        "compare": [(Sketch, "of"), (interpolating, "compare"), (interpolating, "is_cut")],
        "flow": [(Prior, name) for name in ("guide", "find", "told")],
        "model": [(engine.runtime, "call")],
        "warp": [(Desk, "both")],
        "decode": [
            (kind, "__call__") for kind in (CentreDecoder, PointDecoder, TrajectoryDecoder, CellDecoder)
        ],
        "filter": [(Following, name) for name in ("predict", "observe")],
        "picture": [
            *((sized_model, name) for name in ("put_pixels", "put_levels", "as_image")),
            (views.OutputView, "picture"),
        ],
        "state rows": rows,
    }
    places = [(owner, name, stage) for stage, found in stages.items() for owner, name in found]
    kept = [(owner, name, vars(owner).get(name)) for owner, name, _ in places]
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
