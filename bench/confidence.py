"""Whether a tracker knows when it has lost its target: absences, what it says during them, and calibration.

One-pass evaluation looks only at frames in which the target is there. This looks at the others too:

* *Returns*: the target was absent and is back. It is *found again* if within `RETURN_FRAMES` frames the
  tracker says that it sees it, with an overlap of at least `RIGHT`.
* *False tracking*: of the frames in which the target is absent, the share in which it says that it tracks.
* *Precision of lost*: of the frames in which it says lost, the share in which it has lost it: the target is
  absent, or the box overlaps it by less than `WRONG`. *Recall of lost*: of such frames, the share in which
  it says so.
* *Wrong ones taken*: of the absences, the share in which something else was taken for the target: until it is
  found again, or `RETURN_FRAMES` after its return, `TAKEN` frames in a row are said to be tracked in which it
  is absent or overlaps by less than `WRONG`.
* *Precision, recall and F* as in VOT's long-term challenges, see `bench.long_term`.
* *What the search costs*: the 99th percentile of a frame's time while lost, less that while not lost, in the
  sequence where it is worst, of those with `ENOUGH` frames of either kind.
* *Expected calibration error* (Guo et al., ICML 2017): scores are sorted into `BINS` bins; the mean
  difference, by frames, between the mean score of a bin and its share of frames with an overlap of at least
  `RIGHT`. `fit` is what would mend it: score' = sigmoid(slope * logit(score) + offset) (Platt 1999).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Protocol, TypedDict

import numpy as np
import numpy.typing as npt

from ..engine import Engine
from ..errors import DataError, OptionError
from ..vision import Box, Frame
from .absences import RIGHT, WRONG, Followed, returns, search_cost, worst, wrong_ones
from .long_term import long_term
from .ope import is_present, overlaps
from .ours import EngineTracker
from .peers import Peer
from .sequences import TrackingSequence

BINS = 10

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Said:
    """What a tracker says of one frame: a box, a score in [0, 1] (NaN if it gives none), and its status."""

    box: Box
    score: float
    status: str


class Teller(Protocol):
    """A tracker that says how sure it is."""

    def start(self, frame: Frame, box: Box) -> None:
        """Learns the target in the first frame."""

    def update(self, frame: Frame) -> Said:
        """Where the target is in the next frame, and how sure that is."""


class EngineTeller:
    """Our engine, one session after another. Raises BundleError: its sessions follow nothing."""

    def __init__(self, engine: Engine) -> None:
        self._tracker = EngineTracker(engine)

    def start(self, frame: Frame, box: Box) -> None:
        """See `Teller`."""
        self._tracker.start(frame, box)

    def update(self, frame: Frame) -> Said:
        """See `Teller`."""
        track = self._tracker.track(frame)
        return Said(track.box, track.score, track.status)


class PeerTeller:
    """A peer: "tracking" where it gives a box, "lost" where it gives none."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._last = Box(0, 0, 1, 1)

    def start(self, frame: Frame, box: Box) -> None:
        """See `Teller`."""
        self._peer.start(frame.image, box)
        self._last = box

    def update(self, frame: Frame) -> Said:
        """See `Teller`."""
        found = self._peer.update(frame.image)
        self._last = found or self._last
        return Said(self._last, self._peer.score(), "lost" if found is None else "tracking")


class ConfidenceNumbers(TypedDict):
    """What one tracker came to; shares are NaN where there was nothing to take a share of."""

    frames: int
    ece: float
    returns: int
    found_again: int
    absent_frames: int
    false_tracking: float
    hidden_frames: int
    """Absent frames in which not a pixel of the target is in view, where a sequence says so; else all."""
    false_hidden: float
    """Share of these in which it says that it tracks."""
    absences: int
    wrong_taken: int
    precision: float
    recall: float
    f: float
    curve: list[tuple[float, float]]
    """Recall and precision at each threshold of the score, from the highest."""
    search_ms: float
    """What the search adds to the 99th percentile of a frame's time, in milliseconds, at worst."""
    lost_frames: int
    lost_precision: float
    lost_recall: float
    bins: list[tuple[float, float, int]]
    """Mean score, share of right frames, and number of frames of each bin that is not empty."""
    fit: tuple[float, float]
    """Slope and offset that suit these frames best; 1 and 0 where scores can be believed as they are."""


class ConfidenceResult(ConfidenceNumbers):
    """One tracker over all sequences, frames pooled."""

    sequences: dict[str, ConfidenceNumbers]


def evaluate_confidence(
    trackers: Mapping[str, Teller],
    sequences: Sequence[TrackingSequence],
    *,
    tick: Callable[[], None] = lambda: None,
) -> dict[str, ConfidenceResult]:
    """Runs every tracker over every sequence; ``tick`` is called after each frame.

    Raises:
        OptionError, DataError: there is no tracker, or no sequence.
        Whatever a tracker or a video raises.
    """
    if not trackers:
        raise OptionError("There is no tracker to evaluate", "Name at least one.")
    if not sequences:
        raise DataError("There is no sequence to evaluate on", "Give a folder with at least one.")
    results: dict[str, ConfidenceResult] = {}
    for name, tracker in trackers.items():
        runs = {sequence.name: follow(tracker, sequence, tick) for sequence in sequences}
        each = {key: confidence_of([run]) for key, run in runs.items()}
        results[name] = {**confidence_of(list(runs.values())), "sequences": each}
    return results


def follow(tracker: Teller, sequence: TrackingSequence, tick: Callable[[], None] = lambda: None) -> Followed:
    """One tracker over one sequence."""
    said: list[Said] = []
    seconds: list[float] = []
    with closing(sequence.frames()) as frames:
        for index, frame in enumerate(frames):
            if index == 0:
                tracker.start(frame, sequence.first_box)
            else:
                began = time.perf_counter()
                said.append(tracker.update(frame))
                seconds.append(time.perf_counter() - began)
            tick()
    boxes, truth = np.array([one.box.xywh for one in said]), sequence.truth[1:]
    status = [one.status for one in said]
    return Followed(
        np.where(is_present(truth), overlaps(boxes, truth), np.nan),
        np.array([one.score for one in said]),
        np.array([one == "tracking" for one in status], bool),
        np.array([one == "lost" for one in status], bool),
        np.array(seconds),
        np.empty(0) if sequence.in_view is None else sequence.in_view[1:],
    )


def confidence_of(runs: Sequence[Followed]) -> ConfidenceNumbers:
    """The numbers of some runs, their frames pooled."""
    overlap = np.concatenate([run.overlap for run in runs])
    score = np.concatenate([run.score for run in runs])
    tracks = np.concatenate([run.tracks for run in runs])
    lost = np.concatenate([run.lost for run in runs])
    absent, hidden = np.isnan(overlap), np.concatenate([run.hidden for run in runs])
    gone = absent | (overlap < WRONG)
    backs = [back for run in runs for back in returns(run)]
    taken = [one for run in runs for one in wrong_ones(run)]
    answered = long_term([(run.overlap, run.answers) for run in runs])
    bins = calibration(score, overlap >= RIGHT)
    counted = sum(count for _, _, count in bins)
    return {
        "frames": len(overlap),
        "ece": _share(sum(count * abs(mean - right) for mean, right, count in bins), counted),
        "returns": len(backs),
        "found_again": sum(backs),
        "absent_frames": int(absent.sum()),
        "false_tracking": _share(int((tracks & absent).sum()), int(absent.sum())),
        "hidden_frames": int(hidden.sum()),
        "false_hidden": _share(int((tracks & hidden).sum()), int(hidden.sum())),
        "absences": len(taken),
        "wrong_taken": sum(taken),
        "precision": answered.precision,
        "recall": answered.recall,
        "f": answered.f,
        "curve": [(float(recall), float(precision)) for recall, precision in answered.curve],
        "search_ms": worst(map(search_cost, runs)),
        "lost_frames": int(lost.sum()),
        "lost_precision": _share(int((lost & gone).sum()), int(lost.sum())),
        "lost_recall": _share(int((lost & gone).sum()), int(gone.sum())),
        "bins": bins,
        "fit": fit_scores(score, overlap >= RIGHT),
    }


def calibration(score: Array, right: npt.NDArray[np.bool_]) -> list[tuple[float, float, int]]:
    """Mean score, share of right frames and number of frames of each bin that is not empty."""
    known = np.isfinite(score)
    place = np.minimum((score[known] * BINS).astype(int), BINS - 1)
    found = []
    for number in range(BINS):
        inside = place == number
        if inside.any():
            found.append(
                (float(score[known][inside].mean()), float(right[known][inside].mean()), int(inside.sum()))
            )
    return found


def fit_scores(score: Array, right: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """Slope and offset on the logit of a score that make it the likeliest probability of being right.

    NaN where there is no score, or nothing is right, or all is: no line fits then.
    """
    known = np.isfinite(score)
    held = np.clip(score[known], 1e-4, 1 - 1e-4)
    target = right[known].astype(float)
    if not 0 < target.sum() < len(target):
        return math.nan, math.nan
    columns = np.stack([np.log(held / (1 - held)), np.ones_like(held)])
    weights = np.array([1.0, 0.0])
    for _ in range(50):  # Newton's method, with a little ridge so that separable scores end too
        chance = 1 / (1 + np.exp(-np.clip(weights @ columns, -30, 30)))
        slope = columns @ (chance - target) / len(target) + 1e-4 * (weights - (1.0, 0.0))
        curve = (columns * (chance * (1 - chance))) @ columns.T / len(target) + 1e-4 * np.eye(2)
        step = np.linalg.solve(curve, slope)
        weights = weights - np.clip(step, -1, 1)
        if np.abs(step).max() < 1e-10:
            break
    return float(weights[0]), float(weights[1])


def _share(part: float, whole: int) -> float:
    return part / whole if whole else math.nan
