"""Closed-loop proof that two runtimes are the same tracker.

Each runtime follows a moving textured target by its own answers and its own state for hundreds of frames:
what differs is fed back, as it would be in use, so slow drift shows. Beside that, every step's raw tensors
are compared on equal inputs and states.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from statistics import fmean, median
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from ..engine import Engine
from ..runtimes import Arrays, Runtime, RuntimeOver, State
from ..vision import Box, Frame
from ..vision.synthetic import demo_clip
from .precision import Precision

Tick = Callable[[int], None]
Counted = Literal["worst", "median"]

OVERLAP_LOSS = 0.05
ON_TARGET = 0.5  # overlap with the true box from which a tracker counts as on target


@dataclass(frozen=True)
class Tolerance:
    """How far a candidate may be from the reference.

    Attributes:
        relative: largest difference of a tensor on equal inputs, over its own largest magnitude.
        drift_px: distance of the two trackers' boxes (centre or size), in pixels of the 640 x 360 clip.
        counted: whether that is the worst frame, or the median of those in which the reference is on target.
            In smaller numbers a near tie between two places may fall the other way, after which two sound
            trackers differ for a while; so there the median counts, and the overlap with the true boxes,
            which may be ``OVERLAP_LOSS`` lower than the reference's at most.
    """

    relative: float = 1e-4
    drift_px: float = 0.5
    counted: Counted = "worst"


def tolerance_of(precision: Precision) -> Tolerance:
    """The tolerance of graphs in a precision. For fp16 and int8 the boxes are what counts."""
    if precision == "fp16":
        return Tolerance(0.05, 2.0, "median")
    if precision == "int8":
        return Tolerance(1.0, 8.0, "median")
    return Tolerance()


@dataclass(frozen=True)
class Parity:
    """How far a candidate was from the reference, and how far it may be: see ``Tolerance``.

    Attributes:
        frames: of the closed loop.
        max_abs, max_rel: largest difference of a tensor, as it is and over the tensor's largest magnitude.
        box_drift_px, median_drift_px: distance of the boxes, in the worst frame and in the median one.
        overlap_loss: mean IoU with the true boxes, the reference's less the candidate's.
        tolerance, drift_tolerance_px, counted: of the ``Tolerance``.
    """

    frames: int
    max_abs: float
    max_rel: float
    box_drift_px: float
    tolerance: float
    drift_tolerance_px: float
    median_drift_px: float = 0.0
    overlap_loss: float = 0.0
    counted: Counted = "worst"

    @property
    def drift_px(self) -> float:
        """The drift that counts."""
        return self.box_drift_px if self.counted == "worst" else self.median_drift_px

    @property
    def passed(self) -> bool:
        """Whether all that counts is within its tolerance."""
        followed = self.counted == "worst" or self.overlap_loss <= OVERLAP_LOSS
        return followed and self.max_rel <= self.tolerance and self.drift_px <= self.drift_tolerance_px

    @property
    def summary(self) -> str:
        """The differences beside their tolerances, in words."""
        words = (
            f"{self.max_rel:.2e} (relative) and {self.drift_px:.2f} px ({self.counted} frame) "
            f"over {self.frames} frames; the tolerance is {self.tolerance:.0e} "
            f"and {self.drift_tolerance_px} px"
        )
        if self.counted == "worst":
            return words
        return (
            f"{words}; it loses {self.overlap_loss:.3f} of overlap with the truth, {OVERLAP_LOSS} is allowed"
        )


class Shadowed(RuntimeOver):
    """The candidate runtime, with the reference run beside it on the same inputs and the same state.

    The candidate's answers are what the loop goes on with; the worst difference is kept.
    """

    def __init__(self, reference: Runtime, candidate: Runtime) -> None:
        super().__init__(candidate)
        self.crops = None  # the reference may be on another device
        self._reference, self._candidate = reference, candidate
        self._mirror = reference.allocate(1)
        self.max_abs = self.max_rel = 0.0

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
    tolerance: Tolerance | None = None,
    tick: Tick = lambda frame: None,
) -> Parity:
    """Follows one synthetic clip with both runtimes, each by its own answers; ``tick`` is told of each frame.

    The difference of tensors is measured on equal inputs and states, that of boxes over the closed loop.
    """
    allowed = tolerance or Tolerance()
    shadowed = Shadowed(reference, candidate)
    ours, theirs = Engine(reference, capacity=1), Engine(shadowed, capacity=1)
    first = second = None
    drifts: list[float] = []
    followed: list[float] = []  # drifts of the frames in which the reference is on target
    overlaps: list[float] = []
    for index, (image, box, _) in enumerate(demo_clip(seed=7, frames=frames + 1)):
        frame = Frame(image, index, Fraction(1, 25), index)
        if first is None or second is None:
            first, second = ours.track(frame, box), theirs.track(frame, box)
            continue
        expected, found = first.update(frame), second.update(frame)
        drifts.append(distance(expected.box, found.box))
        if expected.box.iou(box) >= ON_TARGET:
            followed.append(drifts[-1])
        overlaps.append(expected.box.iou(box) - found.box.iou(box))
        tick(index)
    return Parity(
        frames=frames,
        max_abs=shadowed.max_abs,
        max_rel=shadowed.max_rel,
        box_drift_px=max(drifts),
        tolerance=allowed.relative,
        drift_tolerance_px=allowed.drift_px,
        median_drift_px=median(followed or drifts),
        overlap_loss=fmean(overlaps),
        counted=allowed.counted,
    )


def distance(one: Box, other: Box) -> float:
    """The largest difference of centre or size, in pixels."""
    (ax, ay), (bx, by) = one.centre, other.centre
    return max(abs(ax - bx), abs(ay - by), abs(one.w - other.w), abs(one.h - other.h))
