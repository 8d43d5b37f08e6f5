"""Run trackers over sequences and score them: what ``framestate eval tracking`` prints.

All trackers run over a sequence before the next one begins, so that a busy machine slows all of them alike.
With a `RunStore`, runs that are finished are kept, and not made again. `side_by_side` makes the runs in
several processes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import NotRequired, TypedDict

import numpy as np

from ..errors import DataError, OptionError
from .ope import PROTOCOLS, Protocol, TrackingScore, mean_score, score_sequence
from .run_store import RunStore
from .runs import SequenceRun, SequenceTracker, run_sequence
from .sequences import TrackingSequence

Runs = dict[str, SequenceRun]
"""By tracker, of one sequence."""


class TrackingNumbers(TypedDict):
    """The scores of `bench.ope`, each in [0, 1]; NaN where a server keeps the truth."""

    auc: float
    precision20: float
    norm_precision: float
    norm_precision20: float
    ao: float
    sr50: float
    sr75: float


class SequenceResult(TrackingNumbers):
    """One tracker on one sequence; ``fps`` is updates a second."""

    fps: float
    frames: int
    unreadable: NotRequired[int]
    """Frames that do not decode, where there are such; they are not scored."""
    error: NotRequired[str]
    """Why the tracker gave up; frames from then on count as missed."""


class TrackerResult(TrackingNumbers):
    """One tracker on all sequences: OPE averaged over sequences, GOT-10k and FPS pooled over frames."""

    fps: float
    failures: int
    """Sequences that the tracker did not finish."""
    success: list[float]
    """The success curve, at the overlap thresholds 0, 0.05, ..., 1."""
    precision: list[float]
    """The curve of precision, at 0, 1, ..., 50 pixels."""
    normalised: list[float]
    """The curve of normalised precision, at 0, 0.01, ..., 0.5 target sizes."""
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
    protocol: Protocol = PROTOCOLS["framestate"],
) -> TrackingResults:
    """Run every tracker over every sequence and score what it answers: `make_runs`, then `score_runs`."""
    return score_runs(make_runs(trackers, sequences, progress=progress), sequences, protocol)


def make_runs(
    trackers: Mapping[str, SequenceTracker],
    sequences: Sequence[TrackingSequence],
    *,
    progress: Callable[[Progress], None] | None = None,
    store: RunStore | None = None,
) -> dict[str, Runs]:
    """Run every tracker over every sequence; by sequence, then by tracker.

    A tracker that fails on a sequence is noted in its run, and the frames it did not answer count as missed;
    the other runs go on.

    Args:
        trackers: by the name they are reported under.
        sequences: with names that differ, see `load_sequences`.
        progress: called after every frame.
        store: where finished runs are kept; those that are there are not made again.

    Raises:
        OptionError: there is no tracker, or two sequences have one name.
        DataError: there is no sequence, or one cannot be read (see `TrackingSequence.frames`).
    """
    check_names(list(trackers), sequences)
    total, done = len(trackers) * sum(map(len, sequences)), 0
    runs: dict[str, Runs] = {}
    for sequence in sequences:
        runs[sequence.name] = {}
        for name, tracker in trackers.items():
            notify = partial(_tell, progress, name, sequence, done, total)
            runs[sequence.name][name] = kept_or_made(name, tracker, sequence, store, notify)
            done += len(sequence)
    return runs


def check_names(trackers: Sequence[str], sequences: Sequence[TrackingSequence]) -> None:
    """Raises OptionError, DataError: there is nothing to evaluate, or two sequences have one name."""
    if not trackers:
        raise OptionError("There is no tracker to evaluate", "Name at least one.")
    if not sequences:
        raise DataError("There is no sequence to evaluate on", "Give a folder with at least one.")
    if len({sequence.name for sequence in sequences}) < len(sequences):
        raise OptionError("Several sequences have the same name", "Rename them.")


def score_runs(
    runs: Mapping[str, Runs],
    sequences: Sequence[TrackingSequence],
    protocol: Protocol = PROTOCOLS["framestate"],
) -> TrackingResults:
    """The scores of runs that were made, by sequence and tracker."""
    tallies: dict[str, _Tally] = {}
    for sequence in sequences:
        for name, run in runs[sequence.name].items():
            _add(tallies.setdefault(name, _Tally()), sequence, run, protocol)
    return {"trackers": {name: _summary(tally) for name, tally in tallies.items()}}


def _tell(
    progress: Callable[[Progress], None] | None,
    tracker: str,
    sequence: TrackingSequence,
    done: int,
    total: int,
    frame: int,
) -> None:
    if progress is not None:
        progress(Progress(tracker, sequence.name, frame, len(sequence), done + frame, total))


def kept_or_made(
    name: str,
    tracker: SequenceTracker,
    sequence: TrackingSequence,
    store: RunStore | None,
    notify: Callable[[int], None] = lambda frame: None,
) -> SequenceRun:
    """The run of a tracker over a sequence: out of the store, or made now and, if it is whole, put there."""
    run = None if store is None else store.load(name, sequence)
    if run is not None:
        notify(len(sequence))
        return run
    run = run_sequence(tracker, sequence, notify)
    if store is not None and run.error is None:
        store.save(name, sequence, run)
    return run


def _add(tally: _Tally, sequence: TrackingSequence, run: SequenceRun, protocol: Protocol) -> None:
    score = None
    if not sequence.withheld:
        seen = np.ones(len(sequence), bool)
        seen[run.unreadable] = False
        width, height = run.size
        score = score_sequence(
            run.boxes[seen], sequence.truth[seen], width=width, height=height, protocol=protocol
        )
        tally.scores.append(score)
    result = SequenceResult(**_numbers(score), fps=run.fps, frames=len(sequence))  # type: ignore[typeddict-item]
    if run.unreadable:
        result["unreadable"] = len(run.unreadable)
    if run.error is not None:
        result["error"] = run.error
    tally.sequences[sequence.name] = result
    tally.updates += len(run.update_seconds)
    tally.seconds += float(run.update_seconds.sum())


def _summary(tally: _Tally) -> TrackerResult:
    score = mean_score(tally.scores) if tally.scores else None
    return {
        **_numbers(score),
        "fps": tally.updates / tally.seconds if tally.seconds > 0 else 0.0,
        "failures": sum("error" in result for result in tally.sequences.values()),
        "success": [] if score is None else list(score.success),
        "precision": [] if score is None else list(score.precision),
        "normalised": [] if score is None else list(score.normalised),
        "sequences": tally.sequences,
    }


def _numbers(score: TrackingScore | None) -> TrackingNumbers:
    nan = float("nan")
    return {
        "auc": nan if score is None else score.auc,
        "precision20": nan if score is None else score.precision20,
        "norm_precision": nan if score is None else score.norm_precision,
        "norm_precision20": nan if score is None else score.norm_precision20,
        "ao": nan if score is None else score.ao,
        "sr50": nan if score is None else score.success_rate(0.5),
        "sr75": nan if score is None else score.success_rate(0.75),
    }
