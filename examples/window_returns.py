"""Clips whose target goes away and comes back, made of clips where it stays: each is seen through a window.

The window stands, or moves from place to place, and is chosen so that the target leaves it and returns.
Pixels and boxes are those of the clip; a box is cut to the window, and the target is absent with less than a
quarter of it inside. Short clips are shown forwards and backwards in turn. Writes sequences for ``framestate
eval confidence``, with ``visible.txt``.

    python examples/window_returns.py CLIPS OUT [--clips A,B] [--each 3] [--seed 0]
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from framestate.bench.sequences import TrackingSequence, load_sequences
from framestate.vision import VideoWriter

Array = npt.NDArray[np.float64]
LEAST, MOST = 160, 300  # frames
ATTEMPTS = 400
GONE, SEEN = 0.25, 0.6  # shares of the target in the window


@dataclass(frozen=True, eq=False)
class Window:
    """Where a window of ``width`` x ``height`` pixels stands in each frame, and what is seen in it.

    Attributes:
        left, top: (n,) pixels.
        boxes: (n, 4) in the window, NaN where the target is absent.
        in_view: (n,) share of the target in the window.
    """

    width: int
    height: int
    left: npt.NDArray[np.int64]
    top: npt.NDArray[np.int64]
    boxes: Array
    in_view: Array


def shown(count: int) -> npt.NDArray[np.int64]:
    """Which frames of a clip are shown: forwards, and backwards and forwards until there are enough."""
    there, back = list(range(count)), list(range(count - 2, -1, -1))
    order = list(there)
    while len(order) < LEAST and back:
        order += back if len(order) // max(count - 1, 1) % 2 else there[1:]
    return np.array(order[:MOST])


def drawn(truth: Array, size: tuple[int, int], rng: np.random.Generator) -> Window:
    """A window at random that begins around the target."""
    (wide, tall), count = size, len(truth)
    width, height = int(wide * rng.uniform(0.4, 0.65)) // 2 * 2, int(tall * rng.uniform(0.5, 0.8)) // 2 * 2
    places = int(rng.integers(3, 6))
    at = np.concatenate([[0], np.sort(rng.choice(np.arange(15, count - 10), places, replace=False))])
    centre, stands = truth[0, :2] + truth[0, 2:] / 2, rng.random() < 0.4
    paths = []
    for middle, side, whole in zip(centre, (width, height), size, strict=True):
        first = np.clip(middle - side / 2 + rng.uniform(-0.2, 0.2) * side, 0, whole - side)
        rest = np.full(places, first) if stands else rng.uniform(0, whole - side, places)
        path = np.interp(np.arange(count), at, [first, *rest])
        paths.append(path.astype(np.int64) // 2 * 2)
    return seen_through(truth, width, height, paths[0], paths[1])


def seen_through(
    truth: Array, width: int, height: int, left: npt.NDArray[np.int64], top: npt.NDArray[np.int64]
) -> Window:
    """What a window shows of true boxes (n, 4)."""
    low = np.maximum(truth[:, :2] - np.stack([left, top], 1), 0)
    high = np.minimum(truth[:, :2] + truth[:, 2:] - np.stack([left, top], 1), [width, height])
    sides = np.clip(high - low, 0, None)
    in_view = np.nan_to_num(sides.prod(1) / truth[:, 2:].prod(1))
    boxes = np.where((in_view >= GONE)[:, None], np.concatenate([low, sides], 1), np.nan)
    return Window(width, height, left, top, boxes, in_view)


def usable(window: Window) -> bool:
    """Whether the target is there at first, is away for a while at least once, and then stays for a while."""
    absent = window.in_view < GONE
    if (window.in_view[:10] <= 0.8).any() or absent.mean() > 0.6:
        return False
    backs = np.flatnonzero(absent[:-1] & ~absent[1:]) + 1
    stays = np.convolve(window.in_view > SEEN, np.full(10, 0.1))[9:]  # share of the next ten frames
    return any(
        bool(absent[back - 8 : back].all()) and float(stays[back + 5]) > 0.7
        for back in backs
        if 8 <= back < len(absent) - 15
    )


def write(folder: Path, images: list[Any], order: npt.NDArray[np.int64], window: Window) -> None:
    """One sequence in a new folder."""
    folder.mkdir(parents=True)
    with VideoWriter(folder / "video.mp4", window.width, window.height, rate=25) as video:
        for index, x, y in zip(order, window.left, window.top, strict=True):
            video.write(np.ascontiguousarray(images[index][y : y + window.height, x : x + window.width]))
    lines = [",".join(f"{value:.2f}" for value in box) for box in window.boxes]
    (folder / "groundtruth.txt").write_text("\n".join(lines) + "\n")
    (folder / "visible.txt").write_text("".join(f"{share:.3f}\n" for share in window.in_view))


def windows_of(clip: TrackingSequence, out: Path, each: int, rng: np.random.Generator) -> int:
    """Writes up to ``each`` sequences of a clip; how many it became."""
    images = [frame.image for frame in clip.frames()]
    order = shown(len(images))
    truth, size = np.asarray(clip.truth)[order], (images[0].shape[1], images[0].shape[0])
    made = 0
    for _ in range(ATTEMPTS):
        window = drawn(truth, size, rng)
        if usable(window):
            write(out / f"{clip.name}_{made}", images, order, window)
            made += 1
        if made == each:
            break
    return made


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--clips", default="")
    parser.add_argument("--each", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    rng = np.random.default_rng(given.seed)
    for clip in load_sequences(given.folder, [name for name in given.clips.split(",") if name] or None):
        print(f"{clip.name}: {windows_of(clip, given.out, given.each, rng)}")


if __name__ == "__main__":
    main()
