"""Is a target found again that comes back far from where it went? Clips rarely have that, so it is made.

Each frame is laid beside one of another clip. After a while both places show other clips (whatever is found
there is wrong), and then the clip goes on in the other place, a frame's width away. Prints the mean overlap
after the return, how often a target was claimed while it was away, and how many were found within 80 frames.

    python examples/far_returns.py CLIPS [--model NAME|DIR] [--clips A,B] [--set NAME=VALUE ...]
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from framestate.bench.absences import RIGHT
from framestate.bench.ope import overlaps
from framestate.bench.sequences import TrackingSequence, load_sequences
from framestate.engine import Engine, TrackingOptions
from framestate.vision import Box, Image

LEAD, AWAY, AFTER = 40, 50, 80  # frames
WIDEST = 640  # pixels of one of the two places


def made(
    clip: TrackingSequence, one: TrackingSequence, other: TrackingSequence
) -> Iterator[tuple[Image, np.ndarray[Any, Any], bool]]:
    """Frames, true boxes (NaN while the target is away), and whether it has been away before."""
    frames, ones, others = ([frame.image for frame in each.frames()] for each in (clip, one, other))
    height, width = frames[0].shape[:2]
    scale = min(1.0, WIDEST / width)
    size = int(width * scale), int(height * scale)

    def beside(left: Image, right: Image) -> Image:
        both = [cv2.resize(image, size, interpolation=cv2.INTER_AREA) for image in (left, right)]
        return np.concatenate(both, axis=1).astype(np.uint8)

    lead = min(LEAD, len(frames) // 2)
    for index in range(lead):
        yield beside(frames[index], ones[index % len(ones)]), clip.truth[index] * scale, False
    for index in range(AWAY):
        left, right = others[index % len(others)], ones[(lead + index) % len(ones)]
        yield beside(left, right), np.full(4, np.nan), False
    for index in range(lead, min(lead + AFTER, len(frames))):
        truth = clip.truth[index] * scale + np.array([size[0], 0, 0, 0])
        yield beside(others[index % len(others)], frames[index]), truth, True


def follow(
    engine: Engine, shown: Iterator[tuple[Image, np.ndarray[Any, Any], bool]]
) -> tuple[float, float, bool]:
    """Mean overlap after the return, share of frames claimed while away, and whether it was found."""
    image, truth, _ = next(shown)
    target = engine.open(image, box=Box(*(float(value) for value in truth)))
    shared: list[float] = []
    claimed: list[bool] = []
    for image, truth, back in shown:
        track = target.push(image)
        if np.isnan(truth[0]) and not back:
            claimed.append(track.status == "tracking")
        elif back and not np.isnan(truth[0]):
            shared.append(float(overlaps(np.array([track.box.xywh]), truth[None])[0]))
    target.close()
    return float(np.mean(shared)), float(np.mean(claimed)), max(shared) >= RIGHT


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", default="tracker-nano")
    parser.add_argument("--clips", default="")
    parser.add_argument(
        "--set", action="append", default=[], metavar="NAME=VALUE", help="an option of the tracker"
    )
    given = parser.parse_args()
    clips = load_sequences(given.folder, [name for name in given.clips.split(",") if name] or None)
    with Engine.load(given.model, capacity=1, threads=1) as engine:
        options = TrackingOptions.from_spec(engine.runtime.spec)
    for entry in given.set:
        name, _, value = entry.partition("=")
        options = replace(options, **{name: type(getattr(options, name))(float(value))})
    with Engine.load(given.model, capacity=1, threads=1, options=options) as engine:
        results = [
            follow(engine, made(clip, clips[(index + 3) % len(clips)], clips[(index + 6) % len(clips)]))
            for index, clip in enumerate(clips)
        ]
    overlap, claimed, found = (np.mean([result[place] for result in results]) for place in range(3))
    print(f"overlap after the return {overlap:.3f}, claimed while away {claimed:.1%}, found {found:.0%}")


if __name__ == "__main__":
    main()
