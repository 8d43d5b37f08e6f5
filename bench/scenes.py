"""Scenes with many objects, as MOTChallenge keeps them, and what a detector may have found in them.

::

    DIR/<scene>/gt.txt          frame,id,x,y,w,h,conf,class,visibility; frames from 1, conf 0 does not count
    DIR/<scene>/video.mp4       or numbered images in img1/
    DIR/<scene>/det.txt         where there are public detections: frame,-1,x,y,w,h,score
    DIR/<scene>/seqinfo.ini     where the frame rate is not the video's
"""

from __future__ import annotations

import configparser
import hashlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..engine.scene import Detections
from ..errors import DataError
from ..vision import Frame
from ..vision.reader import VideoReader

Numbers = npt.NDArray[np.float64]
TRUTH, PUBLIC, VIDEO, IMAGES = "gt.txt", "det.txt", "video.mp4", "img1"


@dataclass(frozen=True, slots=True, eq=False)
class Noise:
    """What a made detector does wrong: seeded by the scene's name and the frame's number.

    Attributes:
        missed: share of the objects that it does not see.
        jitter: deviation of centre and size, as a share of the size.
        false: boxes that show nothing, for each object of a frame.
    """

    missed: float = 0.1
    jitter: float = 0.04
    false: float = 0.1


@dataclass(frozen=True, slots=True, eq=False)
class SceneTruth:
    """One scene: which objects are where in each of its frames.

    Attributes:
        name: of its folder.
        source: the video, or the folder of images.
        ids: for each frame, the objects' ids.
        boxes: for each frame, (N, 4) x, y, w, h in pixels.
        public: for each frame, (N, 5) boxes and scores in [0, 1]; None where there are none.
        seconds: a frame, where the files say so.
    """

    name: str
    source: Path
    ids: tuple[npt.NDArray[np.int64], ...]
    boxes: tuple[Numbers, ...]
    public: tuple[Numbers, ...] | None = None
    seconds: Fraction | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def frames(self) -> Iterator[Frame]:
        """The frames, each at its time by ``seconds``. Raises DataError: they are fewer than the truth's."""
        count = 0
        with VideoReader(self.source) as reader:
            for frame in reader:
                if count == len(self):
                    return
                tick = self.seconds
                yield frame if tick is None else Frame(frame.image, count, tick, count)
                count += 1
        if count < len(self):
            raise DataError(f"{self.source} has {count} frames, its truth {len(self)}", "restore the video")

    def detections(self, frame: int, noise: Noise, public: bool = True) -> Detections:
        """What a detector finds in a frame: the public ones, or made of the truth, with ``noise``."""
        if public and self.public is not None:
            found = self.public[frame]
            return Detections.from_xywh(found[:, :4], found[:, 4])
        return made_detections(self.boxes[frame], noise, f"{self.name}/{frame}", self.spread)

    @property
    def spread(self) -> tuple[float, float]:
        """How far right and down objects are seen, in pixels."""
        corners = np.concatenate([boxes[:, :2] + boxes[:, 2:] for boxes in self.boxes])
        return float(corners[:, 0].max()), float(corners[:, 1].max())


def made_detections(boxes: Numbers, noise: Noise, seed: str, spread: tuple[float, float]) -> Detections:
    """Detections of a made detector: objects that others cover are missed more, false ones score less."""
    draw = np.random.default_rng(int.from_bytes(hashlib.sha256(seed.encode()).digest()[:8], "big"))
    extents = np.sqrt(boxes[:, 2] * boxes[:, 3])[:, None]
    kept = draw.random(len(boxes)) >= noise.missed
    middles = boxes[:, :2] + boxes[:, 2:] / 2 + noise.jitter * extents * draw.standard_normal((len(boxes), 2))
    sizes = boxes[:, 2:] * np.exp(noise.jitter * draw.standard_normal((len(boxes), 2)))
    scores = np.clip(draw.normal(0.82, 0.1, len(boxes)), 0.3, 1.0)
    found = np.concatenate([middles - sizes / 2, sizes, scores[:, None]], axis=1)[kept]
    count = int(draw.poisson(noise.false * max(len(boxes), 1)))
    if count and len(boxes):
        like = boxes[draw.integers(len(boxes), size=count), 2:]
        places = draw.random((count, 2)) * spread
        false = np.concatenate([places - like / 2, like, draw.uniform(0.1, 0.75, (count, 1))], axis=1)
        found = np.concatenate([found, false])
    return Detections.from_xywh(found[:, :4], found[:, 4])


def load_scenes(folder: str | Path, names: Collection[str] | None = None) -> list[SceneTruth]:
    """All scenes of a folder by their names, or those in ``names``. Raises DataError."""
    root = Path(folder)
    if not root.is_dir():
        raise DataError(f"{root} is no folder", "name a folder with one folder a scene")
    found = sorted(path.parent for path in root.glob(f"*/{TRUTH}"))
    unknown = set(names or ()) - {path.name for path in found}
    if unknown:
        raise DataError(
            f"{root} has no scene {sorted(unknown)[0]!r}", f"it has {[one.name for one in found]}"
        )
    chosen = [path for path in found if not names or path.name in names]
    if not chosen:
        raise DataError(f"{root} has no <scene>/{TRUTH}", "give the folder that holds the scenes' folders")
    return [_scene(path) for path in chosen]


def _scene(folder: Path) -> SceneTruth:
    source = next((folder / name for name in (VIDEO, IMAGES) if (folder / name).exists()), None)
    if source is None:
        raise DataError(f"{folder} has neither {VIDEO} nor {IMAGES}/", "add the frames")
    rows = read_mot(folder / TRUTH, 6)
    if rows.shape[1] > 6:
        rows = rows[rows[:, 6] != 0]
    if not len(rows):
        raise DataError(f"{folder / TRUTH} holds no object", "add its boxes")
    count = int(rows[:, 0].max())
    public = None
    if (folder / PUBLIC).exists():
        public = by_frame(scaled(read_mot(folder / PUBLIC, 7)), count)
    frames = [rows[rows[:, 0] == number + 1] for number in range(count)]
    return SceneTruth(
        folder.name,
        source,
        tuple(one[:, 1].astype(np.int64) for one in frames),
        tuple(one[:, 2:6] for one in frames),
        public,
        _seconds(folder / "seqinfo.ini"),
    )


def read_mot(path: Path, least: int) -> Numbers:
    """The rows of a MOTChallenge file, ``least`` columns or more. Raises DataError."""
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
        filled = [line for line in lines if line.strip()]
        rows = np.loadtxt(filled, delimiter=",", dtype=float, ndmin=2) if filled else np.zeros((0, least))
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read ({error})", "give lines of frame,id,x,y,w,h,...") from error
    if rows.shape[1] < least:
        raise DataError(f"{path} has {rows.shape[1]} columns, and needs {least}", "frame,id,x,y,w,h,...")
    odd = rows[~((rows[:, 0] >= 1) & (rows[:, 0] % 1 == 0)), 0]
    if len(odd):
        raise DataError(f"{path} has a line of frame {odd[0]:g}", "count frames by whole numbers from 1")
    return rows


def scaled(rows: Numbers) -> Numbers:
    """Rows of detections whose scores (the seventh column) are in [0, 1].

    Where one is above 1 they are no shares: the middle one of them becomes 0.6.
    """
    scores = rows[:, 6]
    if len(scores) and (scores.max() > 1 or scores.min() < 0):
        scores = 0.6 * scores / max(float(np.median(scores)), 1e-9)
    return np.concatenate([rows[:, :6], np.clip(scores, 0, 1)[:, None]], axis=1)


def by_frame(rows: Numbers, count: int) -> tuple[Numbers, ...]:
    """Boxes and scores (N, 5) of each of ``count`` frames."""
    columns = rows[:, [2, 3, 4, 5, 6]]
    return tuple(columns[rows[:, 0] == number + 1] for number in range(count))


def _seconds(path: Path) -> Fraction | None:
    parser = configparser.ConfigParser()
    try:
        parser.read(path)
        return 1 / Fraction(parser["Sequence"]["frameRate"])
    except (KeyError, ValueError, ZeroDivisionError, configparser.Error):
        return None
