"""Training samples out of the public data sets: moments of Vimeo-90K and X4K1000FPS, mixed by a ratio."""

from __future__ import annotations

import multiprocessing
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import DataError, FramestateError, ImageError, OptionError
from ...vision.motion import MiddleFlow, grey_of
from ..datasets.footage import TRIES
from .datasets import Moment, Scene, mixed, read_picture, vimeo, x4k_scenes
from .samples import TEACHER_LEVEL, Picture, planes, recolour, turn

LONGEST = 32  # frames from end to end of an X4K1000FPS sample
KINDS = ("vimeo-triplet", "vimeo-septuplet", "x4k")


class MomentSource:
    """Samples by index, as ``TripletSource`` gives them, but without a teacher's flow.

    A batch comes from one set, since frames of Vimeo-90K (448 x 256) are smaller than the largest crops of a
    curriculum: there, the crop is what fits.

    Args:
        sets: moments, or scenes to draw moments from.
        ratio: how many batches of each set come in a row.
        seed: a sample follows from it and from its index.
        batch: samples of a batch.
        start: the way in which the flow to start from is found, on the crop; None where samples bring none.
    """

    def __init__(
        self,
        sets: Sequence[Sequence[Moment] | Sequence[Scene]],
        ratio: Sequence[int],
        seed: int,
        batch: int = 1,
        start: str | None = None,
    ) -> None:
        if len(sets) != len(ratio):
            raise OptionError(f"ratio is {list(ratio)} for {len(sets)} data sets", "give a number for each")
        turns = mixed(ratio)
        self.order = [next(turns) for _ in range(sum(ratio))]
        self.sets, self.seed, self.batch = sets, seed, batch
        self.start = start
        self._skipped = multiprocessing.Value("q", 0)  # loader processes count in it too
        self.largest = [largest_crop(found) for found in sets]

    @property
    def skipped(self) -> int:
        """Moments that could not be read so far, in this process and its loaders."""
        return int(self._skipped.value)

    def pictures(self, which: int, rng: np.random.Generator) -> tuple[list[Picture], Moment]:
        """A moment of a set, read; where its images are missing or damaged it is counted, and another drawn.

        Raises DataError where several in a row are: the data set is broken as a whole then.
        """
        problem: FramestateError | None = None
        for _ in range(TRIES):
            chosen = self.sets[which]
            found = chosen[int(rng.integers(len(chosen)))]
            moment = found.draw(rng, LONGEST) if isinstance(found, Scene) else found
            try:
                return moment.pictures(), moment
            except (DataError, ImageError) as error:
                problem = error
                with self._skipped.get_lock():
                    self._skipped.value += 1
        raise DataError(f"none of {TRIES} moments can be read ({problem})", "get an undamaged copy of them")

    def sample(self, index: int, size: int) -> dict[str, Any]:
        """See ``TripletSource.sample``; ``known`` is 0. Raises DataError for images that are too small."""
        rng = np.random.default_rng((self.seed, index))
        which = self.order[index // self.batch % len(self.order)]
        size = min(size, self.largest[which])
        whole, moment = self.pictures(which, rng)
        pictures = crop(whole, size, rng, moment.first)
        grid = size // TEACHER_LEVEL
        flow = np.zeros((2, 2, grid, grid), np.float32)
        pictures, flow, t = turn(pictures, flow, moment.t, bool(rng.random() < 0.5), rng)
        extra: dict[str, Any] = {}
        if self.start:
            first, second = (grey_of(np.ascontiguousarray(picture)) for picture in pictures[::2])
            extra["start"] = MiddleFlow(self.start).find(first, second, grid, grid).middle
        pictures = recolour(pictures, rng)
        named = zip(("first", "target", "second"), pictures, strict=True)
        return {
            **extra,
            **{name: planes(picture) for name, picture in named},
            "t": np.array([t], np.float32),
            "flow": np.ascontiguousarray(flow.reshape(4, grid, grid)),
            "known": np.zeros(1, np.float32),
        }


def largest_crop(found: Sequence[Moment] | Sequence[Scene]) -> int:
    """The largest multiple of 32 that fits an image of a set, by the first that can be read.

    Raises DataError where none does, or none of several can be read.
    """
    problem: FramestateError | None = None
    for example in found[:TRIES]:
        path = example.frames[0] if isinstance(example, Scene) else example.first
        try:
            height, width = (int(side) for side in read_picture(path).shape[:2])
        except (DataError, ImageError) as error:
            problem = error
            continue
        if min(height, width) < 32:
            raise DataError(f"{path} is {width} x {height}", "give images of at least 32 x 32")
        return min(height, width) // 32 * 32
    raise DataError(f"no image of a data set can be read ({problem})", "get an undamaged copy of it")


def crop(pictures: list[Picture], size: int, rng: np.random.Generator, path: Path) -> list[Picture]:
    """The same square of all pictures. Raises DataError where they are smaller."""
    height, width = pictures[0].shape[:2]
    if min(height, width) < size:
        raise DataError(
            f"{path} is {width} x {height}, smaller than the crop of {size}", "make the crop smaller"
        )
    top, left = int(rng.integers(height - size + 1)), int(rng.integers(width - size + 1))
    return [picture[top : top + size, left : left + size] for picture in pictures]


def open_sets(data: Path, sets: Sequence[str]) -> list[Sequence[Moment] | Sequence[Scene]]:
    """Data sets by ``kind:folder``, such as ``vimeo-triplet:vimeo_triplet``, folders relative to ``data``.

    Raises OptionError for a kind that there is not, DataError for a folder that is not of that kind.
    """
    opened: list[Sequence[Moment] | Sequence[Scene]] = []
    for entry in sets:
        kind, _, folder = entry.partition(":")
        if kind not in KINDS or not folder:
            raise OptionError(
                f"the data set {entry!r} is unknown", f"give kind:folder; kinds: {', '.join(KINDS)}"
            )
        if kind == "x4k":
            opened.append(x4k_scenes(data / folder))
        else:
            opened.append(
                vimeo(data / folder, "train", "triplet" if kind == "vimeo-triplet" else "septuplet")
            )
    return opened
