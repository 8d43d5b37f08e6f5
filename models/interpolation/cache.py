"""Videos decoded once into memory-mapped arrays, with the flow of a teacher beside them.

A cache is a folder: ``<clip>.npy`` (frames, uint8, T × H × W × 3), ``<clip>.flow.npy`` (flows, float16) and
``index.json``, which says of every clip what it was made from. Flows are those of OpenCV's DIS from a frame
to its two neighbours ``gap`` frames before and after it, at a quarter of the size and in pixels of the full
size: what a model that makes that frame from those neighbours should have found.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ...errors import DataError
from ...vision.motion import QUICK, WAYS, MiddleFlow, Neighbour, bend_of, grey_of
from ...vision.reader import VideoReader

GAPS = (1, 2, 3)
SHRINK = 4  # of the stored flow
INDEX = "index.json"
MAX_FRAMES = 250  # of one clip

Images = npt.NDArray[np.uint8]
Flows = npt.NDArray[np.float16]


@dataclass(frozen=True)
class CachedClip:
    """One clip: ``frames`` (T, H, W, 3) and ``flows`` (T, gaps, 2, 2, H/4, W/4), both mapped from disk.

    ``flows[c, g, s]`` (x, y) leads from frame c to frame c - GAPS[g] (s 0) or c + GAPS[g] (s 1).
    ``usable[c, g]``: the three frames are there, something moves, nothing is cut, and the steps are even.
    ``starts``, if any, are as ``flows``, from the middle to its neighbours; zeros where nothing is usable.
    ``bends``, if any, are how far the middle lies beside the straight line, as the triplet ``2 * gap`` frames
    before tells (s 0), and as the one after does (s 1); zeros where that one is not usable.
    """

    name: str
    frames: Images
    flows: Flows
    usable: npt.NDArray[np.bool_]
    starts: Flows | None = None
    bends: Flows | None = None


def clip_files(data: Path, folders: Sequence[str]) -> dict[str, Path]:
    """Videos by clip name: ``<folder>/<clip>.mp4`` and ``<folder>/<clip>/video.mp4``.

    Raises DataError where there is none.
    """
    found: dict[str, Path] = {}
    for folder in folders:
        for path in sorted((data / folder).glob("*.mp4")) + sorted((data / folder).glob("*/video.mp4")):
            found[path.parent.name if path.name == "video.mp4" else path.stem] = path
    if not found:
        raise DataError(
            f"{data} holds no video in {', '.join(folders)}", "point --data at the folder above them"
        )
    return found


def build_cache(
    files: dict[str, Path], out: Path, say: Callable[[str], None] = lambda text: None
) -> dict[str, dict[str, object]]:
    """Decodes what ``out`` does not hold yet and returns its index."""
    out.mkdir(parents=True, exist_ok=True)
    path = out / INDEX
    index: dict[str, dict[str, object]] = json.loads(path.read_text()) if path.exists() else {}
    for name, file in files.items():
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        if index.get(name, {}).get("sha256") == digest:
            continue
        frames = read_frames(file)
        if len(frames) < 3:
            continue
        np.save(out / f"{name}.npy", frames)
        flows, usable = teacher_flows(frames)
        np.save(out / f"{name}.flow.npy", flows)
        np.save(out / f"{name}.usable.npy", usable)
        index[name] = {"sha256": digest, "frames": len(frames), "usable": int(usable.sum())}
        path.write_text(json.dumps(index, indent=1))
        say(f"{name}: {len(frames)} frames, {int(usable.sum())} triplets")
    return index


def file_of(out: Path, name: str, kind: str, way: str = QUICK) -> Path:
    """Where a clip's flows to start from ("start") or bends lie: those found in other ways are others."""
    return out / f"{name}.{kind}.{WAYS[way]}.npy"


def build_starts(
    out: Path, names: Sequence[str], say: Callable[[str], None] = lambda text: None, way: str = QUICK
) -> None:
    """Adds to clips of a cache the flows that a model starts from, where they lack them."""
    _build(out, names, "start", start_flows, say, way)


def build_bends(
    out: Path, names: Sequence[str], say: Callable[[str], None] = lambda text: None, way: str = QUICK
) -> None:
    """Adds to clips of a cache how the motion bends, where they lack it."""
    _build(out, names, "bend", bends, say, way)


def _build(
    out: Path,
    names: Sequence[str],
    kind: str,
    make: Callable[[CachedClip, str], Flows],
    say: Callable[[str], None],
    way: str,
) -> None:
    for clip in open_cache(out, [name for name in names if not file_of(out, name, kind, way).exists()]):
        unfinished = out / f"{clip.name}.{kind}.part.npy"
        np.save(unfinished, make(clip, way))
        unfinished.rename(file_of(out, clip.name, kind, way))
        say(f"{clip.name}: {kind}")


def read_frames(file: Path) -> Images:
    """Up to ``MAX_FRAMES`` frames of a video, in exact colours."""
    frames: list[Images] = []
    with VideoReader(file, exact_colour=True, threads=1) as reader:
        for frame in reader:
            if frames and frame.image.shape != frames[0].shape:
                break
            frames.append(frame.image)
            if len(frames) == MAX_FRAMES:
                break
    return np.stack(frames)


def open_cache(out: Path, names: Sequence[str], way: str = QUICK) -> list[CachedClip]:
    """Some clips of a cache, mapped into memory, with flows to start from that were found so."""
    clips = []
    for name in names:
        frames = np.load(out / f"{name}.npy", mmap_mode="r")
        flows = np.load(out / f"{name}.flow.npy", mmap_mode="r")
        paths = [file_of(out, name, kind, way) for kind in ("start", "bend")]
        more = [np.load(path, mmap_mode="r") if path.exists() else None for path in paths]
        clips.append(CachedClip(name, frames, flows, np.load(out / f"{name}.usable.npy"), *more))
    return clips


def triplets(count: int, gap: int) -> Iterator[int]:
    """The middles of all triplets of a clip."""
    yield from range(gap, count - gap)


def teacher_flows(frames: Images) -> tuple[Flows, npt.NDArray[np.bool_]]:
    """DIS flows of every triplet, computed at half size, and which triplets are fit to learn from."""
    count, height, width = frames.shape[:3]
    small_size = (width // 2, height // 2)
    grey = [
        cv2.resize(cv2.cvtColor(f, cv2.COLOR_RGB2GRAY), small_size, interpolation=cv2.INTER_AREA)
        for f in frames
    ]
    shape = (count, len(GAPS), 2, 2, height // SHRINK, width // SHRINK)
    flows, usable = np.zeros(shape, np.float16), np.zeros(shape[:2], np.bool_)

    def still() -> npt.NDArray[np.float32]:
        """No motion, to start from: what is there already is taken for a first guess, and written over."""
        return np.zeros((*grey[0].shape, 2), np.float32)

    dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)
    for place, gap in enumerate(GAPS):
        for middle in triplets(count, gap):
            sides = [dis.calc(grey[middle], grey[middle + step], still()) * 2 for step in (-gap, gap)]
            for side, flow in enumerate(sides):
                fitted = cv2.resize(flow, (shape[5], shape[4]), interpolation=cv2.INTER_AREA)
                flows[middle, place, side] = fitted.transpose(2, 0, 1)
            usable[middle, place] = fit_to_learn(
                [grey[middle - gap], grey[middle], grey[middle + gap]], sides[0], sides[1]
            )
    return flows, usable


def start_flows(clip: CachedClip, way: str = QUICK) -> Flows:
    """The flows of every usable triplet's middle, found between its neighbours alone."""
    finder, found = MiddleFlow(way), np.zeros(clip.flows.shape, np.float16)
    greys = [grey_of(np.asarray(frame)) for frame in clip.frames]
    height, width = clip.flows.shape[-2:]
    for middle, place in zip(*np.nonzero(clip.usable), strict=True):
        ends = greys[middle - GAPS[place]], greys[middle + GAPS[place]]
        flow = finder.find(*ends, height, width).middle * SHRINK
        found[middle, place] = flow.reshape(2, 2, height, width)
    return found


def bends(clip: CachedClip, way: str = QUICK) -> Flows:
    """How the motion bends in every usable triplet, by its neighbours that are usable."""
    finder, found = MiddleFlow(way), np.zeros(clip.flows.shape, np.float16)
    greys = [grey_of(np.asarray(frame)) for frame in clip.frames]
    height, width = clip.flows.shape[-2:]
    for place, gap in enumerate(GAPS):
        known: dict[int, Neighbour] = {}
        for middle in np.flatnonzero(clip.usable[:, place]).tolist():
            pair = finder.find(greys[middle - gap], greys[middle + gap], height, width)
            known[middle] = Neighbour(pair)
        for middle, this in known.items():
            bend = bend_of(this.pair, known.get(middle - 2 * gap), known.get(middle + 2 * gap)) * SHRINK
            found[middle, place] = bend.reshape(2, 2, height, width)
    return found


def fit_to_learn(greys: Sequence[Images], back: npt.NDArray[Any], ahead: npt.NDArray[Any]) -> bool:
    """Whether a triplet moves, has no cut, and its two steps are even (within a factor of three)."""
    if np.abs(greys[0].astype(np.int16) - greys[2]).mean() < 0.7:
        return False
    steps = [float(np.percentile(np.linalg.norm(flow, axis=2), 90)) for flow in (back, ahead)]
    if max(steps) > 3 * min(steps) + 1 or max(steps) > 0.3 * greys[0].shape[1] * 2:
        return False
    means = [blur.mean() for blur in greys]
    spread = [cv2.compareHist(histogram(greys[1]), histogram(greys[i]), cv2.HISTCMP_CORREL) for i in (0, 2)]
    return max(means) - min(means) < 40 and min(spread) > 0.3


def histogram(grey: Images) -> npt.NDArray[np.float32]:
    """32 bins of brightness."""
    return cv2.calcHist([grey], [0], None, [32], [0, 256]).astype(np.float32)
