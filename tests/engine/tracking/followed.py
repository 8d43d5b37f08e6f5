"""A target that is followed by rules alone, without a model; and a filter's numbers as matrices."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from framestate.engine.codec import Codec
from framestate.engine.tracking import BoxFilter, TargetMemory, TrackingOptions
from framestate.engine.tracking.following import Following
from framestate.engine.tracking.measurement import Measurement
from framestate.vision import Box, Frame

MEMORY: Codec[TargetMemory] = Codec(TargetMemory)


class Followed:
    """A memory that moves on. What the memory has can be asked of it."""

    def __init__(self, frame: Frame, box: Box, options: TrackingOptions) -> None:
        self.rules = Following(options)
        self.memory = self.rules.start(frame, box)

    def predict(self, frame: Frame) -> tuple[Box, float]:
        self.memory, expected, growth = self.rules.predict(self.memory, frame)
        return expected, growth

    def observe(self, measured: Measurement) -> None:
        self.memory = self.rules.observe(self.memory, measured)

    def moved(self, frame: Frame, measured: Measurement) -> Followed:
        self.predict(frame)
        self.observe(measured)
        return self

    @property
    def wants_refresh(self) -> bool:
        return self.rules.wants_refresh(self.memory)

    @property
    def kept(self) -> tuple[Any, Any]:
        """All that a snapshot holds of it."""
        return MEMORY.write(self.memory)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.memory, name)


def matrices(tracker: BoxFilter) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Mean (8,): values, then velocities; and covariance (8, 8)."""
    value, velocity, vv, vd, dd = np.array(tracker.belief.axes).T
    covariance = np.zeros((8, 8))
    places = np.arange(4)
    covariance[places, places], covariance[places + 4, places + 4] = vv, dd
    covariance[places, places + 4] = covariance[places + 4, places] = vd
    return np.concatenate([value, velocity]), covariance
