"""Where a tracker fails: a sheet of its worst sequences, frames with the true and the answered box."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing

import cv2
import numpy as np
import numpy.typing as npt

from ..errors import DataError
from ..vision.draw import contact_sheet
from ..vision.pixels import Image
from .evaluate_tracking import Runs, TrackingResults
from .ope import is_present, overlaps
from .runs import SequenceRun
from .sequences import TrackingSequence

WORST, FRAMES = 6, 6
LOST = 0.1
"""Overlap below which a target counts as lost, on the sheet."""
TRUE, ANSWERED = (74, 222, 128), (248, 113, 113)
"""Colours of the boxes, red, green, blue."""


def failure_sheet(
    tracker: str, results: TrackingResults, runs: Mapping[str, Runs], sequences: Sequence[TrackingSequence]
) -> Image:
    """A picture of the sequences with the lowest AUC, worst first: a row each, true boxes green, answers red.

    The frames are the first, the last before the target is lost, the one in which it is, and some later ones.

    Raises:
        DataError: no sequence has a score.
    """
    scores = results["trackers"][tracker]["sequences"]
    scored = [one for one in sequences if not one.withheld and np.isfinite(scores[one.name]["auc"])]
    if not scored:
        raise DataError("No sequence has a score, so none is the worst", "Evaluate where the truth is known.")
    worst = sorted(scored, key=lambda one: scores[one.name]["auc"])[:WORST]
    images: list[Image] = []
    titles: list[str] = []
    for sequence in worst:
        run = runs[sequence.name][tracker]
        shown = frames_to_show(run, sequence)
        for place, index, image in _pictures(sequence, shown):
            value = overlaps(run.boxes[index : index + 1], sequence.truth[index : index + 1])[0]
            name = f"{sequence.name} {scores[sequence.name]['auc']:.2f}  " if place == 0 else ""
            images.append(_marked(image, sequence.truth[index], run.boxes[index]))
            titles.append(f"{name}#{index} IoU {value:.2f}")
    return contact_sheet(images, FRAMES, titles)


def frames_to_show(run: SequenceRun, sequence: TrackingSequence) -> list[int]:
    """Indices of the frames of a sheet's row, rising; as many as a row has, or all of a shorter sequence."""
    seen = np.setdiff1d(np.flatnonzero(is_present(sequence.truth)), run.unreadable)
    values = overlaps(run.boxes[seen], sequence.truth[seen])
    lost = np.flatnonzero(values[1:] < LOST) + 1
    first = int(lost[0]) if len(lost) else int(values.argmin())
    wanted = [0, max(first - 1, 0), first]
    rest = np.linspace(first, len(seen) - 1, FRAMES - 1).round().astype(int)
    spare = np.linspace(0, len(seen) - 1, 2 * FRAMES).round().astype(int)
    chosen = list(dict.fromkeys([*wanted, *rest.tolist(), *spare.tolist()]))[:FRAMES]
    # a row that is not full would put the next sequence into it
    chosen += [chosen[-1]] * (FRAMES - len(chosen))
    return sorted(int(seen[place]) for place in chosen)


def _pictures(sequence: TrackingSequence, indices: list[int]) -> list[tuple[int, int, Image]]:
    found: dict[int, Image] = {}
    with closing(sequence.frames()) as frames:
        for frame in frames:
            if frame.index in indices:
                found[frame.index] = frame.image
            if frame.index >= indices[-1]:
                break
    return [(place, index, found[index]) for place, index in enumerate(indices)]


def _marked(image: Image, truth: npt.NDArray[np.float64], answered: npt.NDArray[np.float64]) -> Image:
    canvas = image.copy()
    thick = max(round(max(image.shape) / 240), 1)
    for box, colour in ((truth, TRUE), (answered, ANSWERED)):
        if np.isfinite(box).all() and np.abs(box).max() < 1e6:
            x, y, w, h = (round(float(value)) for value in box)
            cv2.rectangle(canvas, (x, y), (x + w, y + h), (0, 0, 0), thick + 2)
            cv2.rectangle(canvas, (x, y), (x + w, y + h), colour, thick)
    return canvas
