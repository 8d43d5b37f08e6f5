"""Run trackers over sequences and score them: what ``framestate eval tracking`` prints.

Whatever can `start` on a frame and a box and `update` on each further frame can be evaluated; `PeerTracker`
makes one of a peer of `bench.peers`. All trackers run over a sequence before the next one begins, so that a
busy machine slows all of them alike. Only calls of ``update`` are timed: decoding, scoring and ``start`` are
not.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from typing import NotRequired, Protocol, TypedDict

import numpy as np
import numpy.typing as npt

from ..errors import DataError, FramestateError, OptionError
from ..vision.box import Box
from ..vision.frame import Frame
from .ope import TrackingScore, mean_score, score_sequence
from .peers import Peer
from .sequences import TrackingSequence


class SequenceTracker(Protocol):
    """A tracker of one target. `start` begins anew, so one object serves one sequence after another."""

    def start(self, frame: Frame, box: Box) -> None:
        """Learn the target in the first frame; ``box`` in pixels."""

    def update(self, frame: Frame) -> Box:
        """Where the target is in the next frame, in pixels; a best guess where it is lost."""


class TrackingNumbers(TypedDict):
    """The scores of `bench.ope`, each in [0, 1]."""

    auc: float
    precision20: float
    ao: float
    sr50: float
    sr75: float


class SequenceResult(TrackingNumbers):
    """One tracker on one sequence; ``fps`` is updates a second."""

    fps: float
    frames: int
    error: NotRequired[str]
    """Why the tracker gave up; frames from then on count as missed."""


class TrackerResult(TrackingNumbers):
    """One tracker on all sequences: OPE averaged over sequences, GOT-10k and FPS pooled over frames."""

    fps: float
    failures: int
    """Sequences that the tracker did not finish."""
    success: list[float]
    """The success curve, at the overlap thresholds 0, 0.05, ..., 1."""
    sequences: dict[str, SequenceResult]


class TrackingResults(TypedDict):
    """What ``eval tracking --json`` prints."""

    trackers: dict[str, TrackerResult]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an evaluation is: ``frame`` of ``frames`` of this run, ``done`` of ``total`` of all runs."""

    tracker: str
    sequence: str
    frame: int
    frames: int
    done: int
    total: int


class PeerTracker:
    """A `bench.peers.Peer` as a `SequenceTracker`: where the peer is lost, its last box is kept."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._last = Box(math.nan, math.nan, math.nan, math.nan)

    def start(self, frame: Frame, box: Box) -> None:
        """Start the peer."""
        self._peer.start(frame.image, box)
        self._last = box

    def update(self, frame: Frame) -> Box:
        """The peer's box, or its last one."""
        self._last = self._peer.update(frame.image) or self._last
        return self._last


@dataclass(slots=True)
class _Run:
    """What one tracker did on one sequence."""

    boxes: npt.NDArray[np.float64]  # (frames, 4), NaN where there was no answer
    size: tuple[int, int] = (0, 0)  # width, height
    updates: int = 0
    seconds: float = 0.0
    error: str | None = None

    @property
    def fps(self) -> float:
        return self.updates / self.seconds if self.seconds > 0 else 0.0


@dataclass(slots=True)
class _Tally:
    """What one tracker did on all sequences so far."""

    scores: list[TrackingScore] = field(default_factory=list)
    sequences: dict[str, SequenceResult] = field(default_factory=dict)
    updates: int = 0
    seconds: float = 0.0


def evaluate_tracking(
    trackers: Mapping[str, SequenceTracker],
    sequences: Sequence[TrackingSequence],
    *,
    progress: Callable[[Progress], None] | None = None,
) -> TrackingResults:
    """Run every tracker over every sequence and score it.

    A tracker that raises is not called again in that sequence: the frames it did not answer count as missed,
    and the result carries the error. What is wrong with the data is raised.

    Args:
        trackers: by the name they are reported under.
        sequences: see `load_sequences`.
        progress: called after each frame, outside the timed part.

    Raises:
        OptionError: there is no tracker, or two sequences share a name.
        DataError: there is no sequence, or frames and truth of a sequence do not match.
        VideoError: a video cannot be read.
    """
    if not trackers:
        raise OptionError("There is no tracker to evaluate", "Name at least one.")
    if not sequences:
        raise DataError("There is no sequence to evaluate on", "Give a folder with at least one.")
    if len({sequence.name for sequence in sequences}) < len(sequences):
        raise OptionError("Two sequences have the same name", "Rename one of them.")
    tallies = {name: _Tally() for name in trackers}
    total = len(trackers) * sum(map(len, sequences))
    done = 0
    for sequence in sequences:
        for name, tracker in trackers.items():
            notify = partial(_notify, progress, name, sequence, done, total)
            _add(tallies[name], sequence, _run(tracker, sequence, notify))
            done += len(sequence)
    return {"trackers": {name: _summary(tally) for name, tally in tallies.items()}}


def _notify(
    progress: Callable[[Progress], None] | None,
    tracker: str,
    sequence: TrackingSequence,
    done: int,
    total: int,
    frame: int,
) -> None:
    if progress is not None:
        progress(Progress(tracker, sequence.name, frame, len(sequence), done + frame, total))


def _run(tracker: SequenceTracker, sequence: TrackingSequence, notify: Callable[[int], None]) -> _Run:
    run = _Run(np.full((len(sequence), 4), np.nan))
    with closing(sequence.frames()) as frames:
        for index, frame in enumerate(frames):
            if index == 0:
                run.size = frame.width, frame.height
            if run.error is None:
                _one(tracker, sequence, run, index, frame)
            notify(index + 1)
    return run


def _one(tracker: SequenceTracker, sequence: TrackingSequence, run: _Run, index: int, frame: Frame) -> None:
    """Hand one frame to the tracker; an error of its own is noted in the run."""
    try:
        if index == 0:
            tracker.start(frame, sequence.first_box)
            run.boxes[0] = sequence.truth[0]
            return
        begin = time.perf_counter()
        box = tracker.update(frame)
        run.seconds += time.perf_counter() - begin
        run.updates += 1
        run.boxes[index] = box.x, box.y, box.w, box.h
    except FramestateError as error:
        run.error = f"frame {index}: {error}"
    except Exception as error:  # a tracker from outside may raise anything; the other runs are worth keeping
        run.error = f"frame {index}: {type(error).__name__}: {error}"


def _add(tally: _Tally, sequence: TrackingSequence, run: _Run) -> None:
    width, height = run.size
    score = score_sequence(run.boxes, sequence.truth, width=width, height=height)
    result = SequenceResult(**_numbers(score), fps=run.fps, frames=len(sequence))  # type: ignore[typeddict-item]
    if run.error is not None:
        result["error"] = run.error
    tally.scores.append(score)
    tally.sequences[sequence.name] = result
    tally.updates += run.updates
    tally.seconds += run.seconds


def _summary(tally: _Tally) -> TrackerResult:
    score = mean_score(tally.scores)
    return {
        **_numbers(score),
        "fps": tally.updates / tally.seconds if tally.seconds > 0 else 0.0,
        "failures": sum("error" in result for result in tally.sequences.values()),
        "success": list(score.success),
        "sequences": tally.sequences,
    }


def _numbers(score: TrackingScore) -> TrackingNumbers:
    return {
        "auc": score.auc,
        "precision20": score.precision20,
        "ao": score.ao,
        "sr50": score.success_rate(0.5),
        "sr75": score.success_rate(0.75),
    }
