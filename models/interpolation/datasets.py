"""The public data sets of frame interpolation, by their own folder layouts.

Nothing is downloaded: a loader is pointed at a folder as the data set's authors ship it.

* Vimeo-90K septuplets: ``sequences/00001/0001/im1.png`` … ``im7.png``, lists ``sep_trainlist.txt`` and
  ``sep_testlist.txt`` of ``00001/0001``. ``im1`` and ``im7`` are the ends and ``im4`` the middle, as in the
  research plan; with ``any_time`` each of ``im2`` … ``im6`` is drawn.
* Vimeo-90K triplets: ``im1.png`` to ``im3.png``, lists ``tri_trainlist.txt`` and ``tri_testlist.txt``. Scores
  on the triplets are the common metric; those on septuplets are not comparable with them.
* X4K1000FPS (XVFI): training ``train/002/occ008.320/0000.png`` … ``0064.png``; test (X-TEST)
  ``test/Type1/TEST01_003_f0433/0000.png`` … ``0032.png``, of which 0 and 32 are the ends and each fourth
  frame between them is to be made.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...errors import DataError
from ...vision.datasets.moments import Moment, read_list, read_picture, vimeo, x4k_test

__all__ = ["Moment", "Scene", "mixed", "read_list", "read_picture", "vimeo", "x4k_scenes", "x4k_test"]


@dataclass(frozen=True)
class Scene:
    """Consecutive frames of X4K1000FPS, in order."""

    name: str
    frames: tuple[Path, ...]

    def draw(self, rng: np.random.Generator, longest: int) -> Moment:
        """Ends up to ``longest`` frames apart, and any frame between them."""
        span = int(rng.integers(2, min(longest, len(self.frames) - 1) + 1))
        start = int(rng.integers(0, len(self.frames) - span))
        inside = int(rng.integers(1, span))
        chosen = (self.frames[start], self.frames[start + inside], self.frames[start + span])
        return Moment(*chosen, inside / span)


def x4k_scenes(root: Path) -> list[Scene]:
    """The training scenes of X4K1000FPS. Raises DataError where there is none, or one has too few frames."""
    scenes = []
    for folder in sorted((root / "train").glob("*/*")):
        frames = tuple(sorted(folder.glob("*.png")))
        if folder.is_dir():
            scenes.append(Scene(f"{folder.parent.name}/{folder.name}", frames))
    if not scenes:
        raise DataError(f"{root} holds no train/<scene>/<clip>", "point at the folder that holds 'train'")
    short = [scene.name for scene in scenes if len(scene.frames) < 3]
    if short:
        raise DataError(f"scene {short[0]} of {root} has fewer than 3 frames", "get a complete copy of it")
    return scenes


def mixed(ratio: Sequence[int]) -> Iterator[int]:
    """Which of several data sets each batch comes from, in turn: a ratio of 2 to 1 gives 0, 0, 1, 0, 0, 1, …

    Raises DataError where no share is above 0.
    """
    order = [index for index, share in enumerate(ratio) for _ in range(share)]
    if not order or min(ratio) < 0:
        raise DataError(f"the ratio of data sets is {list(ratio)}", "give counts such as [2, 1]")
    while True:
        yield from order
