"""An evaluation in several processes: each opens the trackers once and takes one sequence after another."""

from __future__ import annotations

import contextlib
import multiprocessing
import queue
import sys
from collections.abc import Callable, Sequence
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2

from ..errors import FramestateError, OptionError, RunError
from .evaluate_tracking import Progress, Runs, check_names, kept_or_made
from .lineup import Lineup
from .run_store import RunStore
from .sequences import TrackingSequence

if TYPE_CHECKING:
    from multiprocessing.queues import Queue

Answer = tuple[str, Runs, tuple[type[FramestateError], str, str] | None]
"""A sequence's name and runs, or what went wrong: the error's class, problem and remedy."""

PATIENCE_SECONDS = 0.5
"""How often is looked whether a process that says nothing is still there."""


def make_runs_side_by_side(
    lineup: Lineup,
    sequences: Sequence[TrackingSequence],
    jobs: int,
    *,
    progress: Callable[[Progress], None] | None = None,
    folder: Path | None = None,
    settings: dict[str, Any] | None = None,
) -> dict[str, Runs]:
    """As `make_runs`, with ``jobs`` processes. Times are those of trackers beside one another.

    Args:
        lineup: the trackers, opened in every process.
        sequences: with names that differ.
        jobs: how many processes, at least 1; no more than sequences are started.
        progress: called after every sequence.
        folder, settings: of the `RunStore` of finished runs, if they are to be kept.

    Raises:
        OptionError, DataError: as `make_runs`; what a process raises is raised here.
        RunError: a process ended by itself.
    """
    check_names(["ours"], sequences)
    if jobs < 1:
        raise OptionError(f"jobs is {jobs}", "Give at least 1.")
    # no fork: the threads of OpenCV and ONNX Runtime do not survive it
    context = multiprocessing.get_context("spawn")
    tasks: Queue[int | None] = context.Queue()
    answers: Queue[Answer] = context.Queue()
    for place in [*range(len(sequences)), *[None] * jobs]:
        tasks.put(place)
    kept = None if folder is None else (folder, settings or {})
    processes = [
        context.Process(target=_work, args=(lineup, tuple(sequences), kept, tasks, answers), daemon=True)
        for _ in range(min(jobs, len(sequences)))
    ]
    for process in processes:
        process.start()
    try:
        return _gather(processes, sequences, answers, progress)
    finally:
        for process in processes:
            process.terminate()
            process.join()
        for line in (tasks, answers):
            line.cancel_join_thread()
            line.close()


def _gather(
    processes: Sequence[SpawnProcess],
    sequences: Sequence[TrackingSequence],
    answers: Queue[Answer],
    progress: Callable[[Progress], None] | None,
) -> dict[str, Runs]:
    runs: dict[str, Runs] = {}
    lengths = {sequence.name: len(sequence) for sequence in sequences}
    total, done = sum(lengths.values()), 0
    while len(runs) < len(sequences):
        try:
            name, found, problem = answers.get(timeout=PATIENCE_SECONDS)
        except queue.Empty:
            dead = [process for process in processes if process.exitcode not in (None, 0)]
            if dead or not any(process.is_alive() for process in processes):
                code = dead[0].exitcode if dead else 0
                raise RunError(
                    f"a process of the evaluation ended with {code}",
                    "Run it again with --out, which keeps what is finished, and fewer --jobs.",
                ) from None
            continue
        if problem is not None:
            kind, *words = problem
            raise kind(*words)
        runs[name] = found
        done += lengths[name]
        if progress is not None:
            progress(Progress("", name, lengths[name], lengths[name], done, total))
    return runs


def _work(
    lineup: Lineup,
    sequences: tuple[TrackingSequence, ...],
    kept: tuple[Path, dict[str, Any]] | None,
    tasks: Queue[int | None],
    answers: Queue[Answer],
) -> None:
    """What one process does until it is given None."""
    cv2.setNumThreads(1)
    try:
        store = None if kept is None else RunStore(*kept)
        with contextlib.redirect_stdout(sys.stderr), lineup.open() as opened:
            while (place := tasks.get()) is not None:
                runs: Runs = {
                    name: kept_or_made(name, tracker, sequences[place], store)
                    for name, tracker in opened.trackers.items()
                }
                answers.put((sequences[place].name, runs, None))
    except FramestateError as error:
        answers.put(("", {}, (type(error), error.problem, error.remedy)))
    except Exception as error:  # whatever it is, it must not die with its process
        problem = f"a process of the evaluation failed with {type(error).__name__}: {error}"
        answers.put(("", {}, (RunError, problem, "Run it again with --jobs 1, which says more.")))
