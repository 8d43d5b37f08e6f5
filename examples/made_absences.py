"""How sure is a tracker of a target that is not there? Clips with targets rarely say, so absences are made.

After the first frames of each clip come frames of other clips, at its size: whatever is found there is wrong.
Prints how often each score is reached with and without the target, and the line that makes scores chances
(``score_slope``, ``score_offset`` of the engine's tracker), fitted with as many frames of either kind.

    python examples/made_absences.py CLIPS [--model NAME|DIR] [--clips A,B] [--lead 10] [--frames 40]
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from framestate.bench.absences import RIGHT
from framestate.bench.confidence import fit_scores
from framestate.bench.ope import overlaps
from framestate.bench.sequences import TrackingSequence, load_sequences
from framestate.engine import Engine, Session, Track, TrackingOptions

OTHERS = (1, 4, 7)  # how many clips further on, in turn: the ones whose frames lack the target
THRESHOLDS = (0.15, 0.25, 0.35, 0.45, 0.5, 0.55, 0.6, 0.7)


def with_target(engine: Engine, sequence: TrackingSequence) -> list[tuple[float, bool]]:
    """Score of each frame of a clip, and whether its box is right."""
    frames = sequence.frames()
    target = engine.open(next(frames), box=sequence.first_box)
    found = []
    for index, frame in enumerate(frames, 1):
        track = target.push(frame)
        box = np.array([[track.box.x, track.box.y, track.box.w, track.box.h]])
        shared = overlaps(box, sequence.truth[index : index + 1])[0]
        if np.isfinite(shared):
            found.append((track.score, bool(shared >= RIGHT)))
    target.close()
    return found


def without_target(
    engine: Engine, sequence: TrackingSequence, other: TrackingSequence, lead: int, count: int
) -> list[float]:
    """Scores on frames of another clip, after the first ones of this."""
    frames = sequence.frames()
    first = next(frames)
    target: Session[Track] = engine.open(first, box=sequence.first_box)
    for _, frame in zip(range(lead), frames, strict=False):
        target.push(frame)
    scores = []
    for _, frame in zip(range(count), other.frames(), strict=False):
        image = cv2.resize(frame.image, (first.width, first.height)).astype(np.uint8)
        scores.append(target.push(image).score)
    target.close()
    return scores


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="tracker-nano")
    parser.add_argument("--clips", default="")
    parser.add_argument("--lead", type=int, default=10)
    parser.add_argument("--frames", type=int, default=40)
    given = parser.parse_args()
    clips = load_sequences(given.folder, [name for name in given.clips.split(",") if name] or None)
    with Engine.load(given.model, capacity=1, threads=1) as engine:
        options = replace(TrackingOptions.from_spec(engine.runtime.spec), score_slope=1.0, score_offset=0.0)
    with Engine.load(given.model, capacity=1, threads=1, options=options) as engine:
        there = [frame for clip in clips for frame in with_target(engine, clip)]
        away = [
            score
            for index, clip in enumerate(clips)
            for step in OTHERS
            for score in without_target(
                engine, clip, clips[(index + step) % len(clips)], given.lead, given.frames
            )
        ]
    scores, right = np.array([score for score, _ in there]), np.array([good for _, good in there])
    gone = np.array(away)
    print(f"{len(scores)} frames with the target, {right.mean():.0%} right; {len(gone)} without")
    print("score   right frames above   frames without the target above")
    for least in THRESHOLDS:
        print(f"{least:5.2f}   {(scores[right] >= least).mean():18.1%}   {(gone >= least).mean():31.1%}")
    chosen = gone[np.linspace(0, len(gone) - 1, len(scores)).astype(int)]
    slope, offset = fit_scores(
        np.concatenate([scores, chosen]), np.concatenate([right, np.zeros(len(chosen), bool)])
    )
    print(f"score_slope {slope:.2f}, score_offset {offset:.2f}")


if __name__ == "__main__":
    main()
