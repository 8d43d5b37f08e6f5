"""What makes a sequence hard: attributes that its folder names, and those that its true boxes show.

The latter are LaSOT's (Fan et al., CVPR 2019, table 3), as far as boxes tell: scale or aspect ratio outside
of 0.5 to 2 times the first, a step longer than the target is large, a target of less than 1,000 square
pixels, and one that is absent for a while.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from .evaluate_tracking import TrackingResults
from .ope import is_present
from .sequences import TrackingSequence

SMALL = 1000.0
"""Square pixels."""
CHANGE = 2.0


def attributes_of(sequence: TrackingSequence) -> list[str]:
    """Attributes of one sequence, in the order of their names."""
    return sorted({*sequence.attributes, *shown_by(sequence.truth)})


def shown_by(truth: npt.NDArray[np.float64]) -> list[str]:
    """Attributes that true boxes (n, 4) show; NaN rows are frames without the target."""
    there = is_present(truth)
    boxes = truth[there]
    area, aspect = boxes[:, 2] * boxes[:, 3], boxes[:, 2] / boxes[:, 3]
    centres = truth[:, :2] + truth[:, 2:] / 2
    steps = np.hypot(*np.diff(centres, axis=0).T)
    sizes = np.sqrt(truth[1:, 2] * truth[1:, 3])
    known = there[1:] & there[:-1]
    found = {
        "scale variation": _outside(area / area[0]),
        "aspect ratio change": _outside(aspect / aspect[0]),
        "fast motion": bool((steps[known] > sizes[known]).any()),
        "low resolution": bool((area < SMALL).any()),
        "out of view": not there.all(),
    }
    return [name for name, shown in found.items() if shown]


def by_attribute(
    results: TrackingResults, sequences: Sequence[TrackingSequence]
) -> dict[str, dict[str, float | int]]:
    """For each attribute: how many ``sequences`` have it, and the mean AUC of each tracker over them."""
    having: dict[str, list[str]] = {}
    for sequence in sequences:
        if not sequence.withheld:
            for name in attributes_of(sequence):
                having.setdefault(name, []).append(sequence.name)
    table: dict[str, dict[str, float | int]] = {}
    for name, members in sorted(having.items()):
        scores: Mapping[str, float] = {
            tracker: float(np.mean([result["sequences"][one]["auc"] for one in members]))
            for tracker, result in results["trackers"].items()
        }
        table[name] = {"sequences": len(members), **scores}
    return table


def _outside(ratios: npt.NDArray[np.float64]) -> bool:
    return bool(((ratios > CHANGE) | (ratios < 1 / CHANGE)).any())
