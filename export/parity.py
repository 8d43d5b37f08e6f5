"""Closed-loop proof that two runtimes are the same tracker.

Each runtime follows a moving textured target by its own answers and its own state for hundreds of frames:
what differs is fed back, as it would be in use, so slow drift shows. Beside that, every step's raw tensors
are compared on equal inputs and states.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from ..engine import Engine
from ..runtimes import Arrays, Runtime, State, StateStore
from ..vision import Frame
from ..vision.synthetic import demo_clip


@dataclass(frozen=True)
class Parity:
    """``max_rel`` is the largest difference of a tensor over its own largest magnitude."""

    frames: int
    max_abs: float
    max_rel: float
    box_drift_px: float
    tolerance: float
    drift_tolerance_px: float

    @property
    def passed(self) -> bool:
        """Whether both differences are within their tolerance."""
        return self.max_rel <= self.tolerance and self.box_drift_px <= self.drift_tolerance_px


class Shadowed:
    """The candidate runtime, with the reference run beside it on the same inputs and the same state.

    The candidate's answers are what the loop goes on with; the worst difference is kept.
    """

    def __init__(self, reference: Runtime, candidate: Runtime) -> None:
        self.spec, self.name, self.device = candidate.spec, candidate.name, candidate.device
        self._reference, self._candidate = reference, candidate
        self._mirror = reference.allocate(1)
        self.max_abs = self.max_rel = 0.0

    def allocate(self, capacity: int) -> StateStore:
        """The candidate's rows."""
        return self._candidate.allocate(capacity)

    def call(self, function: str, inputs: Arrays, state: State | None) -> tuple[Arrays, State | None]:
        """The candidate's answer, compared with the reference's."""
        outputs, written = self._candidate.call(function, inputs, state)
        if state:
            self._mirror.load_row(0, {name: np.asarray(value)[0] for name, value in state.items()})
        expected, expected_state = self._reference.call(
            function, inputs, self._mirror.read([0]) if state else None
        )
        for name, value in expected.items():
            self._compare(value, outputs[name])
        for name, value in (expected_state or {}).items():
            self._compare(np.asarray(value), np.asarray((written or {})[name]))
        return outputs, written

    def close(self) -> None:
        """Leaves both runtimes open: they belong to whoever opened them."""

    def _compare(self, expected: npt.NDArray[Any], found: npt.NDArray[Any]) -> None:
        difference = float(np.abs(expected - found).max()) if expected.shape == found.shape else math.inf
        if not math.isfinite(difference):  # a NaN would be passed over by max
            difference = math.inf
        self.max_abs = max(self.max_abs, difference)
        self.max_rel = max(self.max_rel, difference / max(float(np.abs(expected).max()), 1e-3))


def closed_loop_parity(
    reference: Runtime,
    candidate: Runtime,
    *,
    frames: int = 300,
    tolerance: float = 1e-4,
    drift_px: float = 0.5,
) -> Parity:
    """Follows one synthetic clip with both runtimes, each by its own answers.

    Returns the worst tensor difference on equal inputs, and the largest distance between the two runtimes'
    boxes (centre or size, pixels) over the closed loop.
    """
    shadowed = Shadowed(reference, candidate)
    ours, theirs = Engine(reference, capacity=1), Engine(shadowed, capacity=1)
    first = second = None
    drift = 0.0
    for index, (image, box, _) in enumerate(demo_clip(seed=7, frames=frames + 1)):
        frame = Frame(image, index, Fraction(1, 25), index)
        if first is None or second is None:
            first, second = ours.track(frame, box), theirs.track(frame, box)
            continue
        a, b = first.update(frame).box, second.update(frame).box
        (ax, ay), (bx, by) = a.centre, b.centre
        drift = max(drift, abs(ax - bx), abs(ay - by), abs(a.w - b.w), abs(a.h - b.h))
    return Parity(frames, shadowed.max_abs, shadowed.max_rel, drift, tolerance, drift_px)
