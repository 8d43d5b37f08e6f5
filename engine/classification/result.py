"""What the engine answers for one frame of a classified video."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from ..track import Timings


@dataclass(frozen=True, slots=True, eq=False)
class Classification:
    """What a frame shows.

    Attributes:
        labels: names of all classes, in the model's order.
        smoothed: (K,) probabilities over the frames so far, older ones fading.
        frame: (K,) probabilities of this frame alone.
        frame_index: the frame's own index.
        seconds: the frame's time.
        timings: where the time went.
    """

    labels: tuple[str, ...]
    smoothed: npt.NDArray[np.float32]
    frame: npt.NDArray[np.float32]
    frame_index: int
    seconds: float
    timings: Timings = field(default_factory=Timings)

    @property
    def label(self) -> str:
        """The most likely class, smoothed."""
        return self.labels[int(self.smoothed.argmax())]

    @property
    def probability(self) -> float:
        """Its smoothed probability."""
        return float(self.smoothed.max())

    def top(self, count: int) -> list[tuple[str, float]]:
        """The ``count`` most likely classes, or all where there are fewer, with smoothed probabilities."""
        order = np.argsort(-self.smoothed, kind="stable")[:count]
        return [(self.labels[index], float(self.smoothed[index])) for index in order]
