"""Made scenes: cut-out objects that move over a picture or a clip, cross, and cover one another; all seeded.

    python -m framestate.bench.made_scenes OUT [--seed 0] [--objects 20] [--frames 300] [--size 640x480]
        [--images ARCHIVE.zip] [--clip VIDEO]

``OUT/<name>/{video.mp4, gt.txt, seqinfo.ini}`` as `scenes` reads them. ``ARCHIVE`` has ``images/<id>.jpg``
and ``instances/<id>.png``, whose values are instances, 0 the background; without it objects are drawn.
"""

from __future__ import annotations

import argparse
import math
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from ..errors import DataError
from ..vision import Frame, Image, VideoReader, VideoWriter
from ..vision.textures import koi, noise

Numbers = npt.NDArray[np.float64]
Cutout = npt.NDArray[np.float32]
"""RGBA (H, W, 4), premultiplied, 0 to 1."""

RATE = 25
_SEEN = 0.25  # share of an object that must be in sight to count
_SMALLEST, _LARGEST = 0.05, 0.16  # extents, as shares of the picture's height
_FASTEST = 0.12  # of its extent, a frame
_LEAST_PIXELS = 600  # of an instance to cut out


@dataclass(frozen=True, slots=True, eq=False)
class Moment:
    """One frame of a made scene, with the ids and boxes (N, 4) of what is in sight."""

    frame: Frame
    ids: npt.NDArray[np.int64]
    boxes: Numbers


def made_scene(
    cutouts: Sequence[Cutout], background: Callable[[int], Image], *, seed: int, objects: int, frames: int
) -> Iterator[Moment]:
    """Renders a scene; an object that left the picture comes back under another id.

    Args:
        cutouts: what moves.
        background: the picture behind, by frame: uint8 (H, W, 3).
        seed: of paths, sizes and tints.
        objects: that move, in sight or just beside the picture.
        frames: of the scene.
    """
    draw = np.random.default_rng(seed)
    height, width = background(0).shape[:2]
    moving = [_Mover(draw, cutouts, width, height) for _ in range(objects)]
    ids: list[int] = [0] * objects
    given = 0
    for index in range(frames):
        image = np.asarray(background(index), np.float32) / np.float32(255)
        owner = np.full((height, width), -1, np.int32)
        sizes, boxes = np.zeros(objects), np.zeros((objects, 4))
        for place, one in enumerate(moving):
            sizes[place], boxes[place] = one.paint(image, owner, place, index)
        in_sight = np.bincount(owner[owner >= 0], minlength=objects) / np.maximum(sizes, 1)
        touches = (
            np.minimum(boxes[:, :2] + boxes[:, 2:], (width, height)) - np.maximum(boxes[:, :2], 0)
        ).min(1) > 0
        for place in range(objects):
            if not touches[place]:
                ids[place] = 0
            elif not ids[place] and in_sight[place] >= _SEEN:
                given += 1
                ids[place] = given
        shown = [place for place in range(objects) if ids[place] and in_sight[place] >= _SEEN]
        picture = np.clip(image * 255 + 0.5, 0, 255).astype(np.uint8)
        frame = Frame(picture, index, Fraction(1, RATE), index)
        yield Moment(frame, np.array([ids[place] for place in shown], np.int64), boxes[shown].reshape(-1, 4))


class _Mover:
    """One object on its path: a triangle between the picture's edges, and a sway."""

    def __init__(self, draw: np.random.Generator, cutouts: Sequence[Cutout], width: int, height: int) -> None:
        self._size = width, height
        extent = height * float(draw.uniform(_SMALLEST, _LARGEST))
        picture = cutouts[int(draw.integers(len(cutouts)))]
        scale = extent / math.sqrt(picture.shape[0] * picture.shape[1])
        size = max(4, round(picture.shape[1] * scale)), max(4, round(picture.shape[0] * scale))
        self._picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
        tint = draw.uniform(0.75, 1.0, 3)
        self._picture[..., :3] *= tint.astype(np.float32)
        self._margin = 0.6 * extent
        self._start = draw.uniform(0, 1, 2) * (width, height)
        way, speed = draw.uniform(0, 2 * math.pi), extent * draw.uniform(0.01, _FASTEST)
        self._velocity = speed * np.array([math.cos(way), math.sin(way)])
        self._sway = extent * draw.uniform(0, 0.5, 2)
        self._period, self._phase = draw.uniform(40, 120, 2), draw.uniform(0, 2 * math.pi, 2)
        self._breath = float(draw.uniform(0, 0.15))

    def paint(
        self, image: npt.NDArray[np.float32], owner: npt.NDArray[np.int32], number: int, index: int
    ) -> tuple[float, Numbers]:
        """Paints it, and says whose the pixels are; returns how many it has, and its box."""
        width, height = self._size
        span = np.array([width, height]) + 2 * self._margin
        turns = (self._start + self._velocity * index + self._margin) / span
        folded = np.abs((turns % 2 + 2) % 2 - 1)
        sway = self._sway * np.sin(2 * math.pi * index / self._period + self._phase)
        x, y = (1 - folded) * span - self._margin + sway
        scale = 1 + self._breath * math.sin(2 * math.pi * index / self._period[0])
        tall, wide = self._picture.shape[:2]
        matrix = np.array([[scale, 0, x - scale * wide / 2], [0, scale, y - scale * tall / 2]])
        left, top = max(0, int(matrix[0, 2]) - 1), max(0, int(matrix[1, 2]) - 1)
        right = min(width, math.ceil(matrix[0, 2] + scale * wide) + 1)
        bottom = min(height, math.ceil(matrix[1, 2] + scale * tall) + 1)
        box = np.array([matrix[0, 2], matrix[1, 2], scale * wide, scale * tall])
        if right <= left or bottom <= top:
            return 0.0, box
        matrix[:, 2] -= (left, top)
        drawn = cv2.warpAffine(self._picture, matrix, (right - left, bottom - top))
        area = image[top:bottom, left:right]
        area *= 1 - drawn[..., 3:]
        area += drawn[..., :3]
        solid = drawn[..., 3] > 0.5
        owner[top:bottom, left:right][solid] = number
        whole = float((self._picture[..., 3] > 0.5).sum()) * scale * scale
        return whole, box


def drawn_cutouts(seed: int, count: int = 12) -> list[Cutout]:
    """Objects drawn from maths, cut to what is solid."""
    draw = np.random.default_rng(seed)
    found = []
    for _ in range(count):
        colour = tuple(float(one) for one in draw.uniform(0.1, 0.95, 3))
        found.append(_trimmed(koi(draw, 96, colour)))  # type: ignore[arg-type]
    return found


def drawn_background(seed: int, size: tuple[int, int]) -> Callable[[int], Image]:
    """A still picture drawn from maths."""
    draw = np.random.default_rng(seed)
    width, height = size
    planes = [noise(draw, height, width, 60, 5) for _ in range(3)]
    picture = (40 + 150 * np.stack(planes, axis=-1)).astype(np.uint8)
    return lambda index: picture


def cutouts_of(archive: Path, seed: int, count: int = 60) -> list[Cutout]:
    """Instances cut out of an archive of images. Raises DataError."""
    draw = np.random.default_rng(seed)
    try:
        with zipfile.ZipFile(archive) as opened:
            names = sorted(
                one for one in opened.namelist() if one.startswith("instances/") and one.endswith(".png")
            )
            found: list[Cutout] = []
            for name in draw.permutation(names):
                stem = Path(str(name)).stem
                mask = cv2.imdecode(np.frombuffer(opened.read(str(name)), np.uint8), cv2.IMREAD_UNCHANGED)
                image = cv2.imdecode(
                    np.frombuffer(opened.read(f"images/{stem}.jpg"), np.uint8), cv2.IMREAD_COLOR
                )
                if mask is None or image is None or mask.shape[:2] != image.shape[:2]:
                    continue
                found += _instances(np.asarray(image[..., ::-1], np.uint8), np.asarray(mask, np.uint8))
                if len(found) >= count:
                    return found[:count]
    except (OSError, KeyError, zipfile.BadZipFile) as error:
        raise DataError(
            f"{archive} cannot be read ({error})", "give an archive as the module says"
        ) from error
    if not found:
        raise DataError(f"{archive} has no instance of {_LEAST_PIXELS} pixels", "give another archive")
    return found


def _instances(image: Image, mask: npt.NDArray[np.uint8]) -> list[Cutout]:
    found = []
    for value in np.unique(mask[mask > 0]):
        solid = mask == value
        if solid.sum() < _LEAST_PIXELS or solid.mean() > 0.5:
            continue
        alpha = cv2.GaussianBlur(solid.astype(np.float32), (3, 3), 0)[..., None]
        found.append(_trimmed(np.concatenate([image.astype(np.float32) / 255 * alpha, alpha], axis=-1)))
    return found


def _trimmed(picture: Cutout) -> Cutout:
    rows, columns = np.nonzero(picture[..., 3] > 0.5)
    return np.ascontiguousarray(picture[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1])


def clip_background(clip: Path, size: tuple[int, int]) -> Callable[[int], Image]:
    """The frames of a clip, there and back; all are kept."""
    with VideoReader(clip) as reader:
        pictures = [cv2.resize(frame.image, size, interpolation=cv2.INTER_AREA) for frame in reader]
    period = max(2 * len(pictures) - 2, 1)

    def at(index: int) -> Image:
        place = index % period
        return np.asarray(pictures[min(place, period - place) if place else 0], np.uint8)

    return at


def write_scene(folder: Path, moments: Iterator[Moment], size: tuple[int, int]) -> None:
    """Writes a scene as MOTChallenge has it, with a video."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    with VideoWriter(folder / "video.mp4", *size, Fraction(RATE)) as video:
        for moment in moments:
            video.write(moment.frame.image)
            lines += [
                f"{moment.frame.index + 1},{number},{x:.3f},{y:.3f},{w:.3f},{h:.3f},1,1,1\n"
                for number, (x, y, w, h) in zip(moment.ids, moment.boxes, strict=True)
            ]
    (folder / "gt.txt").write_text("".join(lines))
    (folder / "seqinfo.ini").write_text(f"[Sequence]\nname={folder.name}\nframeRate={RATE}\n")


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description="Write a made scene.")
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--objects", type=int, default=20)
    parser.add_argument("--frames", type=int, default=300)
    parser.add_argument("--size", default="640x480")
    parser.add_argument("--images", type=Path)
    parser.add_argument("--clip", type=Path)
    given = parser.parse_args()
    width, height = (int(one) for one in given.size.split("x"))
    size = width, height
    cutouts = cutouts_of(given.images, given.seed) if given.images else drawn_cutouts(given.seed)
    behind = clip_background(given.clip, size) if given.clip else drawn_background(given.seed, size)
    moments = made_scene(cutouts, behind, seed=given.seed, objects=given.objects, frames=given.frames)
    write_scene(given.out / f"made_{given.seed}_{given.objects}", moments, size)


if __name__ == "__main__":
    main()
