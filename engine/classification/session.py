"""`ClassificationSession`: one video being classified, frame by frame, on the caller's thread."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from ...errors import FrameError, OptionError, SessionError
from ...runtimes import StateStore
from ...vision import Frame, Image
from ..inputs import Clock, as_frame
from ..track import Timings
from .model import FUNCTION, ClassificationModel
from .result import Classification


@dataclass(frozen=True, slots=True)
class ClassificationOptions:
    """How probabilities are smoothed over time.

    Attributes:
        smoothing: seconds after which a frame counts 1/e of what it did; 0 answers for each frame alone.
        reference_rate: frames a second of bare images, which bring no time.

    Raises:
        OptionError: a number is not finite, below 0, or a rate of 0.
    """

    smoothing: float = 0.5
    reference_rate: float = 25.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.smoothing) and self.smoothing >= 0):
            raise OptionError(f"smoothing is {self.smoothing} s", "give 0 or more seconds")
        if not (math.isfinite(self.reference_rate) and self.reference_rate > 0):
            raise OptionError(f"reference_rate is {self.reference_rate}", "give frames a second, above 0")

    def keep(self, seconds: float) -> float:
        """How much of the average stays when ``seconds`` have passed since the last frame."""
        return math.exp(-seconds / self.smoothing) if self.smoothing else 0.0


class ClassificationSession:
    """One video: what ``Engine.classify`` opened.

    ::

        with Engine.load(bundle) as engine, engine.classify() as session:
            for frame in frames:
                answer = session.update(frame)
                print(frame.seconds, answer.label, answer.probability)

    Its average is a row of the engine's state. Frames may be of any size, and may come at any rate: the
    average goes by their times. A call that fails leaves the session as it was.
    """

    def __init__(
        self,
        model: ClassificationModel,
        store: StateStore,
        row: int,
        options: ClassificationOptions,
        on_close: Callable[[], None],
    ) -> None:
        self.options = options
        self._model, self._store, self._row = model, store, row
        self._on_close: Callable[[], None] | None = on_close
        self._clock: Clock | None = None

    def update(self, frame: Frame | Image) -> Classification:
        """What the next frame shows, smoothed over those before it.

        A bare image counts as one nominal frame after the last one; a ``Frame`` brings its own time.

        Raises:
            FrameError: the frame is not later than the last one; the session goes on.
            StepError: the model failed or gave numbers that are not finite; the session is as it was.
            SessionError: the session or its engine is closed.
        """
        if self._on_close is None:
            raise SessionError("this session is closed", "start a new one with Engine.classify")
        current = as_frame(frame, self._clock, self.options.reference_rate)
        keep = self.options.keep(since(self._clock, current)) if self._clock is not None else 0.0
        began = time.perf_counter()
        inputs = self._model.inputs(current.image, keep)
        prepared = time.perf_counter()
        outputs, state = self._model.runtime.call(FUNCTION, inputs, self._store.read([self._row]))
        ran = time.perf_counter()
        self._store.write([self._row], state or {})
        self._clock = Clock.of(current)
        done = time.perf_counter()
        return Classification(
            self._model.labels,
            outputs["smoothed"][0],
            outputs["frame"][0],
            current.index,
            current.seconds,
            Timings(1e3 * (prepared - began), 1e3 * (ran - prepared), 1e3 * (done - ran)),
        )

    def close(self) -> None:
        """Gives the row back. Closing twice is harmless."""
        on_close, self._on_close = self._on_close, None
        if on_close is not None:
            on_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def since(last: Clock, frame: Frame) -> float:
    """Seconds from the last frame to this one. Raises FrameError unless it is later."""
    passed = frame.seconds - last.seconds
    if passed <= 0:
        raise FrameError(
            f"frame {frame.index} is at {frame.seconds:.4f} s, the last one at {last.seconds:.4f} s",
            "send frames in order, each later than the one before",
        )
    return passed
