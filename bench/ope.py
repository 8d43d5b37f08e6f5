"""Tracking metrics: OPE success and precision, and GOT-10k overlap. Pure functions of boxes.

Boxes are float64 arrays (n, 4) of ``x, y, w, h`` in pixels; a row of NaN is a target that is absent (in the
truth) or a frame without an answer (in a prediction, where it counts as a miss).

* One-pass evaluation (Wu et al., OTB 2013, and LaSOT): the tracker is started on the first true box and
  never corrected. Success at a threshold is the share of frames with an overlap strictly above it, at 0,
  0.05, ..., 1; AUC is the mean over these 21 thresholds. Precision is the share of frames whose centres lie
  within 20 px. Normalised precision divides the distance by the true width and height first; it is the mean
  share within 0, 0.01, ..., 0.5 (LaSOT, TrackingNet). Nothing is rounded, and the scores of sequences are
  averaged. Strictly above 1 is impossible, so a perfect tracker has an AUC of 20/21.
* GOT-10k (Huang et al. 2019): both boxes are clipped to the image. AO is the mean overlap, SR the share of
  frames strictly above 0.5 or 0.75. The frames of all sequences are pooled, as the toolkit of that benchmark
  does, so long sequences weigh more.

Both leave out frames in which the target is absent, and the first frame, whose box was given away. The
toolkits of the benchmarks differ in one-pass evaluation, and `PROTOCOLS` says how: they count the first frame
as a hit, which lifts the AUC of a sequence of n frames by up to 1/n, and LaSOT's counts absent frames as
misses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..errors import DataError

Array = npt.NDArray[np.float64]

THRESHOLDS = tuple(step / 20 for step in range(21))
"""Overlap thresholds of the success curve."""

PRECISION_PIXELS = 20.0
"""Distance between centres up to which a frame counts as precise."""


PIXELS = tuple(range(51))
"""Distances between centres, in pixels, of the curve of precision."""

NORMALISED = tuple(step / 100 for step in range(51))
"""Distances, in target sizes, of the curve of normalised precision."""


@dataclass(frozen=True, slots=True)
class Protocol:
    """What one-pass evaluation does with the first frame and with frames without a target.

    Attributes:
        first_counts: whether the first frame, whose box was given, counts as a hit.
        absent_misses: whether a frame without a target counts as a miss; else it does not count.
    """

    first_counts: bool = False
    absent_misses: bool = False


PROTOCOLS = {
    "framestate": Protocol(),
    "got10k": Protocol(),
    "otb": Protocol(first_counts=True),
    "uav123": Protocol(first_counts=True),
    "uav20l": Protocol(first_counts=True),
    "dtb70": Protocol(first_counts=True),
    "visdrone": Protocol(first_counts=True),
    "trackingnet": Protocol(first_counts=True),
    "lasot": Protocol(first_counts=True, absent_misses=True),
}
"""By layout, as the toolkit of each benchmark does it."""


@dataclass(frozen=True, slots=True, eq=False)
class TrackingScore:
    """Scores of one sequence, or of several (see `mean_score`); all between 0 and 1.

    Attributes:
        success: share of frames above each of `THRESHOLDS`.
        precision: share of frames whose centre is within each of `PIXELS`.
        normalised: share of frames whose centre is within each of `NORMALISED`.
        got_overlaps: (frames,) overlaps as GOT-10k counts them.
    """

    success: tuple[float, ...]
    precision: tuple[float, ...]
    normalised: tuple[float, ...]
    got_overlaps: Array

    @property
    def auc(self) -> float:
        """Mean of the success curve."""
        return float(np.mean(self.success))

    @property
    def precision20(self) -> float:
        """Share of frames whose centre is within 20 px."""
        return self.precision[int(PRECISION_PIXELS)]

    @property
    def norm_precision(self) -> float:
        """Mean of the curve of normalised precision."""
        return float(np.mean(self.normalised))

    @property
    def norm_precision20(self) -> float:
        """Normalised precision at 0.2 target sizes, as tables of LaSOT often give it."""
        return self.normalised[20]

    @property
    def ao(self) -> float:
        """Average overlap (GOT-10k)."""
        return float(self.got_overlaps.mean())

    def success_rate(self, threshold: float) -> float:
        """Share of frames with an overlap strictly above ``threshold`` (GOT-10k: 0.5 and 0.75)."""
        return float((self.got_overlaps > threshold).mean())


def is_present(boxes: Array) -> npt.NDArray[np.bool_]:
    """Which rows of boxes (n, 4) are boxes at all: finite, with a positive size. (n,)."""
    return np.array(np.isfinite(boxes).all(axis=1) & (boxes[:, 2:] > 0).all(axis=1))


def check_truth(truth: Array, place: str) -> None:
    """Raise a DataError naming ``place`` unless the target is in the first frame and in a later one."""
    present = is_present(truth)
    if not present[:1].any() or not present[1:].any():
        raise DataError(
            f"In {place} the target is in {present.sum()} of {len(truth)} frames, and it must be in the "
            "first and in a later one",
            "Cut the sequence so that it starts with the target in view.",
        )


def overlaps(first: npt.ArrayLike, second: npt.ArrayLike) -> Array:
    """Intersection over union of each pair, (n,), in [0, 1]; 0 where a box is not finite or has no area.

    Raises:
        DataError: the two are not arrays (n, 4) of the same length.
    """
    a, b = _pair(first, second)
    usable = is_present(a) & is_present(b)
    a, b = a[usable], b[usable]
    sides = np.minimum(a[:, :2] + a[:, 2:], b[:, :2] + b[:, 2:]) - np.maximum(a[:, :2], b[:, :2])
    shared = np.maximum(sides, 0).prod(1)
    result = np.zeros(len(usable))
    result[usable] = np.minimum(shared / (a[:, 2:].prod(1) + b[:, 2:].prod(1) - shared), 1)
    return result


def centre_errors(first: npt.ArrayLike, second: npt.ArrayLike) -> Array:
    """Distance in pixels between the centres of each pair of boxes, (n,); infinite where one is not finite.

    Raises:
        DataError: the two are not arrays (n, 4) of the same length.
    """
    a, b = _pair(first, second)
    offset = (a[:, :2] + a[:, 2:] / 2) - (b[:, :2] + b[:, 2:] / 2)
    distance = np.hypot(offset[:, 0], offset[:, 1])
    return np.where(np.isfinite(distance), distance, np.inf)


def normalised_errors(predicted: npt.ArrayLike, truth: npt.ArrayLike) -> Array:
    """Distance between centres in widths and heights of the true box, (n,); infinite where one is not finite.

    Raises:
        DataError: the two are not arrays (n, 4) of the same length.
    """
    a, b = _pair(predicted, truth)
    offset = (a[:, :2] + a[:, 2:] / 2) - (b[:, :2] + b[:, 2:] / 2)
    with np.errstate(divide="ignore", invalid="ignore"):
        distance = np.hypot(*(offset / b[:, 2:]).T)
    return np.where(np.isfinite(distance), distance, np.inf)


def clip_to_image(boxes: npt.ArrayLike, width: float, height: float) -> Array:
    """The part of each box inside an image of ``width, height``, (n, 4); NaN stays NaN."""
    given = np.asarray(boxes, dtype=np.float64)
    limit = (width, height)
    corner = np.clip(given[:, :2], 0, limit)
    opposite = np.clip(given[:, :2] + given[:, 2:], 0, limit)
    return np.hstack([corner, opposite - corner])


def success_curve(values: Array) -> tuple[float, ...]:
    """Share of overlaps (n,) strictly above each of `THRESHOLDS`."""
    return tuple(float((values > threshold).mean()) for threshold in THRESHOLDS)


def precision(errors: Array, pixels: float = PRECISION_PIXELS) -> float:
    """Share of centre errors (n,) of at most ``pixels``."""
    return float((errors <= pixels).mean())


def score_sequence(
    predicted: npt.ArrayLike,
    truth: npt.ArrayLike,
    *,
    width: float,
    height: float,
    protocol: Protocol = PROTOCOLS["framestate"],
) -> TrackingScore:
    """Score one run of a tracker against the truth of a sequence.

    Args:
        predicted: (n, 4); the first box is not looked at.
        truth: (n, 4), NaN where the target is absent.
        width, height: size of the image in pixels.
        protocol: what one-pass evaluation does with the first and with absent frames.

    Raises:
        DataError: shapes differ, the target is absent in the first frame, or it is never seen again.
    """
    guess, true = _pair(predicted, truth)
    check_truth(true, "the truth")
    present = is_present(true)
    present[0] = False
    seen, seen_true = guess[present], true[present]
    got = overlaps(clip_to_image(seen, width, height), clip_to_image(seen_true, width, height))
    counted = np.ones_like(present) if protocol.absent_misses else present.copy()
    counted[0] = protocol.first_counts
    guess = np.vstack([true[:1], guess[1:]])[counted]
    true = true[counted]
    distances, errors = normalised_errors(guess, true), centre_errors(guess, true)
    return TrackingScore(
        success=success_curve(overlaps(guess, true)),
        precision=tuple(precision(errors, pixels) for pixels in PIXELS),
        normalised=tuple(float((distances <= threshold).mean()) for threshold in NORMALISED),
        got_overlaps=got,
    )


def mean_score(scores: Sequence[TrackingScore]) -> TrackingScore:
    """Several sequences as one score: OPE averaged over sequences, GOT-10k pooled over frames.

    Raises:
        DataError: there are none.
    """
    if not scores:
        raise DataError("There is no sequence to score", "Give at least one.")
    return TrackingScore(
        success=tuple(np.mean([score.success for score in scores], axis=0).tolist()),
        precision=tuple(np.mean([score.precision for score in scores], axis=0).tolist()),
        normalised=tuple(np.mean([score.normalised for score in scores], axis=0).tolist()),
        got_overlaps=np.concatenate([score.got_overlaps for score in scores]),
    )


def _pair(first: npt.ArrayLike, second: npt.ArrayLike) -> tuple[Array, Array]:
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if a.shape != b.shape or a.ndim != 2 or a.shape[1] != 4:
        raise DataError(
            f"Boxes of shapes {a.shape} and {b.shape} cannot be compared",
            "Give two arrays (n, 4) of x,y,w,h.",
        )
    return a, b
