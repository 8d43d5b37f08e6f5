"""How a model of each task is tried: over which clip, what is measured of its answers, and what is allowed.

``TRIALS`` is the one table that knows the tasks by name; a task of your own is tried as ``PLAIN`` says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from statistics import fmean, median
from types import MappingProxyType
from typing import Any

import numpy as np

from ..engine.interpolation.task import PSNR_CEILING
from ..vision import Box, Image
from ..vision.synthetic import demo_clip
from .precision import Precision

OVERLAP_LOSS = 0.05
ON_TARGET = 0.5  # overlap with the true box from which a tracker counts as on target

Row = tuple[float, ...]
"""What is kept of a frame's two answers: their distance as the task has it, then ``Trial.numbers``."""


@dataclass(frozen=True)
class Tolerance:
    """How far a candidate may be from the reference.

    Attributes:
        relative: largest difference of a tensor on equal inputs, over its own largest magnitude.
        limits: of measures, by ``Measure.key``; measures without one are told and do not count.
    """

    relative: float = 1e-4
    limits: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Measure:
    """A number of a whole closed loop.

    Attributes:
        key: as manifests and ``--json`` call it.
        words: as people read it.
        over: makes it of the frames' rows.
        limit: how manifests call its limit; empty where they do not tell it.
        floor: whether the limit is the least, not the most.
        counted: how manifests call this way of counting.
    """

    key: str
    words: str
    over: Callable[[Sequence[Row]], float]
    limit: str = ""
    floor: bool = False
    counted: str = ""

    def holds(self, value: float, limit: float) -> bool:
        """Whether a value is within a limit."""
        return value >= limit if self.floor else value <= limit


def moving(frames: int, size: tuple[int, int]) -> Iterator[tuple[Image, Box]]:
    """The demo clip, of a size (width, height), with the true box of its target."""
    for image, box, _ in demo_clip(seed=7, frames=frames, size=size):
        yield image, box


def changing(frames: int, size: tuple[int, int]) -> Iterator[tuple[Image, Box]]:
    """Pictures of the demo clip between pictures of noise, so that labels change."""
    rng = np.random.default_rng(7)
    for index, (image, box) in enumerate(moving(frames, size)):
        coarse = rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)
        yield (np.kron(coarse, np.ones((8, 8, 1), np.uint8)) if index % 2 else image), box


@dataclass(frozen=True)
class Trial:
    """How models of a task are tried.

    Attributes:
        tolerance: in fp32.
        measures: what is told.
        numbers: what is kept of two answers (the reference's, the candidate's) and the true box, beside their
            distance.
        given: what sessions are opened with, beside ``Task.trial``.
        clip: frames of a size, with the true box.
        smaller: the tolerance in precisions below fp32.
        only_fp32: why graphs are not made in those; empty where they are.
        plans: whether TensorRT plans are built.
    """

    tolerance: Tolerance
    measures: tuple[Measure, ...]
    numbers: Callable[[Any, Any, Box], Row] = lambda expected, found, truth: ()
    given: Mapping[str, Any] = field(default_factory=dict)
    clip: Callable[[int, tuple[int, int]], Iterator[tuple[Image, Box]]] = moving
    smaller: Mapping[Precision, Tolerance] = field(default_factory=dict)
    only_fp32: str = "nothing measures what it would lose"
    plans: bool = False


def worst(rows: Sequence[Row]) -> float:
    """The largest distance."""
    return max((row[0] for row in rows), default=0.0)


def followed(rows: Sequence[Row]) -> float:
    """The median distance of the frames in which the reference is on target; of all, where it never is."""
    return median([row[0] for row in rows if row[1] >= ON_TARGET] or [row[0] for row in rows] or [0.0])


def _smaller(relative: float, drift_px: float) -> Tolerance:
    """In smaller numbers a near tie between two places may fall the other way, after which two sound trackers
    differ for a while; so there the median counts, and the overlap with the true boxes.
    """
    return Tolerance(relative, {"median_drift_px": drift_px, "overlap_loss": OVERLAP_LOSS})


PLAIN = Trial(
    Tolerance(limits={"drift": 1e-3}),
    (Measure("drift", "distance of answers, worst frame", worst, "drift_tolerance"),),
)

TRIALS: Mapping[str, Trial] = MappingProxyType(
    {
        "tracking": Trial(
            Tolerance(limits={"box_drift_px": 0.5}),
            (
                Measure(
                    "box_drift_px", "box drift in px, worst frame", worst, "drift_tolerance_px",
                    counted="worst",
                ),
                Measure(
                    "median_drift_px", "box drift in px, median frame", followed, "drift_tolerance_px",
                    counted="median",
                ),
                Measure(
                    "overlap_loss", "overlap with the truth lost",
                    lambda rows: fmean([row[1] - row[2] for row in rows] or [0.0]),
                ),
            ),
            lambda expected, found, truth: (expected.box.iou(truth), found.box.iou(truth)),
            smaller={"fp16": _smaller(0.05, 2.0), "int8": _smaller(1.0, 8.0)},
            only_fp32="",
            plans=True,
        ),
        "interpolation": Trial(
            Tolerance(1e-3, {"psnr_db": 60.0}),
            (
                Measure(
                    "psnr_db", "PSNR of the frames in dB, worst frame",
                    lambda rows: PSNR_CEILING - worst(rows), "psnr_floor_db", floor=True,
                ),
            ),
            # the pairs before and after tell how motion bends, and the moments change from pair to pair
            given={"factor": Fraction(5, 2), "lookahead": True},
            only_fp32="flows of many pixels would lose the fractions that sharp frames need",
            plans=True,
        ),
        "classification": Trial(
            Tolerance(limits={"drift": 1e-3}),
            (
                Measure("drift", "drift of a smoothed probability, worst frame", worst, "drift_tolerance"),
                Measure(
                    "same_labels", "share of frames with the same label",
                    lambda rows: fmean([row[1] for row in rows] or [1.0]),
                ),
            ),
            lambda expected, found, truth: (float(expected.label == found.label),),
            clip=changing,
        ),
    }
)  # fmt: skip


def trial_of(task: str) -> Trial:
    """How models of a task are tried."""
    return TRIALS.get(task, PLAIN)


def tolerance_of(task: str, precision: str = "fp32") -> Tolerance:
    """The tolerance of a task's graphs in a precision; of those that are none of ours, fp16's."""
    trial = trial_of(task)
    if precision == "fp32" or not trial.smaller:
        return trial.tolerance
    known = {str(name): one for name, one in trial.smaller.items()}
    return known.get(precision, known["fp16"])
