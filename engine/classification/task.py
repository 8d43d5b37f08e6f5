"""Classification as a task: one call a frame, probabilities smoothed by the frames' own times."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

import numpy as np
import numpy.typing as npt
from pydantic import Field

from ...errors import OptionError, StateError
from ...runtimes import Runtime
from ...vision import Frame
from ...wire import Classification
from ..codec import DAMAGED, Seconds, array
from ..inputs import Clock
from ..task import Next, Steps, Task, call
from .model import FUNCTION, ClassificationModel


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
        numbers = (self.smoothing, self.reference_rate)
        if any(isinstance(one, bool) or not isinstance(one, int | float) for one in numbers):
            raise OptionError(f"smoothing is {self.smoothing!r}", "give 0 or more seconds")
        if not (math.isfinite(self.smoothing) and self.smoothing >= 0):
            raise OptionError(f"smoothing is {self.smoothing} s", "give 0 or more seconds")
        if not (math.isfinite(self.reference_rate) and self.reference_rate > 0):
            raise OptionError(f"reference_rate is {self.reference_rate}", "give frames a second, above 0")

    def keep(self, seconds: float) -> float:
        """How much of the average stays when ``seconds`` have passed since the last frame."""
        return math.exp(-max(0.0, seconds) / self.smoothing) if self.smoothing else 0.0


@dataclass(frozen=True, slots=True, eq=False)
class ClassifierMemory:
    """What is remembered of a video.

    Attributes:
        smoothing: see ``ClassificationOptions``.
        seconds: when the last frame was; None before the first.
        average: (K,) probabilities so far, of models that do not smooth by themselves.
    """

    smoothing: Annotated[float, Field(ge=0)]
    seconds: Seconds | None = None
    average: Annotated[npt.NDArray[np.float32], array("float32", None)] | None = None


class Classifying(Task[ClassifierMemory, Classification]):
    """Tells what frames show. Frames may be of any size, and may come at any rate.

    Args:
        runtime: of a classifier.
        options: how to smooth, unless a session says otherwise.

    Raises BundleError: the model is no classifier.
    """

    name = "classification"
    Memory = ClassifierMemory

    def __init__(self, runtime: Runtime, options: ClassificationOptions | None = None) -> None:
        self.options = options or ClassificationOptions()
        self.reference_rate = self.options.reference_rate
        self._model = ClassificationModel(runtime.spec)

    def open(self, smoothing: float | None = None) -> Steps[ClassifierMemory, Classification]:  # type: ignore[override]
        """Begins with nothing seen; ``smoothing`` in seconds. Raises OptionError."""
        chosen = self.options.smoothing if smoothing is None else ClassificationOptions(smoothing).smoothing
        yield from ()
        return Next(ClassifierMemory(float(chosen)))

    def step(self, memory: ClassifierMemory, frame: Frame) -> Steps[ClassifierMemory, Classification]:
        """What the next frame shows, smoothed over those before it."""
        keep = 0.0
        if memory.seconds is not None:
            keep = ClassificationOptions(memory.smoothing).keep(frame.seconds - memory.seconds)
        seen = yield from call(FUNCTION, self._model.inputs(frame.image, keep))
        alone = seen.outputs["frame"][0]
        smoothed = seen.outputs["smoothed"][0] if self._model.smooths else alone
        average = None
        if not self._model.smooths:
            if memory.average is not None:
                smoothed = (keep * memory.average + (1 - keep) * alone).astype(np.float32)
            average = smoothed
        answer = Classification(self._model.labels, smoothed, alone, frame.index, frame.seconds)
        return Next(ClassifierMemory(memory.smoothing, frame.seconds, average), answer, seen.state)

    def restored(self, memory: ClassifierMemory) -> ClassifierMemory:
        """See ``Task``."""
        if memory.average is not None and memory.average.shape != (len(self._model.labels),):
            raise StateError("the average of the snapshot is of other labels", DAMAGED)
        return memory

    def check(self, before: Clock, frame: Frame) -> None:
        """Raises FrameError unless the frame is later; of which size it is does not matter."""
        before.check_time(frame)

    def distance(self, one: Classification, other: Classification) -> float:
        """The largest difference of a probability."""
        return float(np.abs(one.smoothed - other.smoothed).max())
