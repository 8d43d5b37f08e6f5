"""Closed-loop proof that two runtimes are the same classifier.

Each runtime looks at the same frames in turn, pictures of a clip between pictures of noise, so that labels
change, and smooths by its own state. Beside that, every call's raw tensors are compared on equal inputs and
states.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..engine import Engine
from ..runtimes import Runtime
from ..vision.synthetic import demo_clip
from .frame_parity import Compared
from .parity import Tick

RELATIVE = 1e-4
DRIFT = 1e-3


@dataclass(frozen=True)
class LabelParity:
    """How far a candidate was from the reference, and how far it may be.

    Attributes:
        frames: of the closed loop.
        max_abs, max_rel: largest difference of a tensor on equal inputs and states, as it is and over the
            tensor's largest magnitude.
        drift: largest difference of a smoothed probability, over the closed loop.
        same_labels: share of the frames with the same label.
        tolerance, drift_tolerance: what is allowed.
    """

    frames: int
    max_abs: float
    max_rel: float
    drift: float
    same_labels: float
    tolerance: float = RELATIVE
    drift_tolerance: float = DRIFT

    @property
    def passed(self) -> bool:
        """Whether both differences are within what is allowed."""
        return self.max_rel <= self.tolerance and self.drift <= self.drift_tolerance

    @property
    def summary(self) -> str:
        """The differences beside their tolerances, in words."""
        return (
            f"{self.max_rel:.2e} (relative) and {self.drift:.1e} (of a smoothed probability) "
            f"over {self.frames} frames; the tolerance is {self.tolerance:.0e} and {self.drift_tolerance:.0e}"
        )


def label_parity(
    reference: Runtime, candidate: Runtime, *, frames: int = 300, tick: Tick = lambda frame: None
) -> LabelParity:
    """Shows both runtimes the same frames; ``tick`` is told of each."""
    compared = Compared(reference, candidate)
    drift, same = 0.0, 0
    rng = np.random.default_rng(7)
    ours, theirs = (Engine(runtime, capacity=1).classify() for runtime in (reference, compared))
    for index, (image, _, _) in enumerate(demo_clip(seed=7, frames=frames)):
        if index % 2:
            coarse = rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)
            image = np.kron(coarse, np.ones((8, 8, 1), np.uint8))
        expected, found = ours.update(image), theirs.update(image)
        drift = max(drift, float(np.abs(expected.smoothed - found.smoothed).max()))
        same += expected.label == found.label
        tick(index)
    return LabelParity(frames, compared.max_abs, compared.max_rel, drift, same / frames)
