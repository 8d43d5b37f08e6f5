"""Tracking where targets go away: precision, recall and F as in VOT's long-term challenges.

A tracker answers a frame when its score is at or above a threshold. *Precision* is the mean overlap of its
answers (0 where the target is absent), *recall* the sum of these overlaps over the frames with the target,
and F their harmonic mean. Both are averaged over sequences at each threshold, and the largest F counts
(Lukezic et al., "Performance Evaluation Methodology for Long-Term Visual Object Tracking", 2018). Where
nothing is answered, precision is 1 and recall 0. Thresholds come from the scores of all sequences, evenly in
rank.

A frame that is said to be lost is not answered at any threshold but the lowest, and a tracker that gives no
score answers with certainty what it does not call lost. The first frame, whose box is given, does not count.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
RESOLUTION = 100
"""How many thresholds are looked at."""


@dataclass(frozen=True, slots=True, eq=False)
class LongTerm:
    """The best point of a curve, and the curve.

    Attributes:
        precision, recall, f: in [0, 1], at the threshold with the largest F.
        threshold: of the score.
        curve: (thresholds, 2): recall and precision, from the highest threshold to the lowest.
    """

    precision: float
    recall: float
    f: float
    threshold: float
    curve: Array


def long_term(runs: Sequence[tuple[Array, Array]]) -> LongTerm:
    """Of some sequences: overlaps (n,), NaN where the target is absent, and scores (n,), -1 where lost."""
    chosen = thresholds_of(np.concatenate([score for _, score in runs]))
    curves = np.mean([curve_of(overlap, score, chosen) for overlap, score in runs], axis=0)
    precision, recall = curves
    f = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    best = int(f.argmax())
    return LongTerm(
        float(precision[best]),
        float(recall[best]),
        float(f[best]),
        float(chosen[best]),
        np.stack([recall, precision], axis=1),
    )


def thresholds_of(scores: Array) -> Array:
    """From above every score to below every score; between, scores at equal distances in rank."""
    ranked = np.sort(scores)[::-1]
    if len(ranked) > RESOLUTION - 2:
        step = len(ranked) // (RESOLUTION - 2)
        ranked = ranked[np.linspace(step, len(ranked) - step, RESOLUTION - 2).round().astype(int)]
    return np.concatenate([[np.inf], ranked, [-np.inf]])


def curve_of(overlap: Array, score: Array, thresholds: Array) -> Array:
    """Precision and recall (2, thresholds) of one sequence; recall is 0 where the target is never there."""
    order = np.argsort(-score, kind="stable")
    gained = np.concatenate([[0.0], np.cumsum(np.nan_to_num(overlap[order]))])
    answered = np.searchsorted(-score[order], -thresholds, side="right")
    there = max(int(np.isfinite(overlap).sum()), 1)
    precision = np.where(answered > 0, gained[answered] / np.maximum(answered, 1), 1.0)
    return np.stack([precision, gained[answered] / there])
