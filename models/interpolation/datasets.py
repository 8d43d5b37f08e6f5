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
from typing import Literal

import numpy as np

from ...errors import DataError
from ...vision.images import decode_image
from .samples import Picture

XTRAIN_FRAMES = 65
XTEST_FRAMES = 33
XTEST_STEP = 4


@dataclass(frozen=True)
class Moment:
    """Three images of a scene: both ends, the one to make, and its time between them, in (0, 1)."""

    first: Path
    target: Path
    second: Path
    t: float

    def pictures(self) -> list[Picture]:
        """first, target and second, RGB, uint8. Raises DataError where one is missing or of another size."""
        found = [read_picture(path) for path in (self.first, self.target, self.second)]
        if len({picture.shape for picture in found}) > 1:
            raise DataError(
                f"{self.first.parent} holds images of different sizes", "get an undamaged copy of it"
            )
        return found


def read_picture(path: Path) -> Picture:
    """An image file, RGB, uint8. Raises DataError where there is none, ImageError where it is damaged."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DataError(
            f"{path} cannot be read ({error.strerror})", "get a complete copy of the data"
        ) from error
    return decode_image(content)


def read_list(path: Path) -> list[str]:
    """The sequences that a list names, such as ``00001/0001``; blank lines are passed over.

    Raises DataError where the list is missing, empty, or names a path outside the data set.
    """
    try:
        names = [line.strip() for line in path.read_text().splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"{path} cannot be read ({error})", "point at the folder that holds the lists and 'sequences'"
        ) from error
    bad = [name for name in names if name.startswith("/") or ".." in Path(name).parts]
    if bad or not names:
        raise DataError(
            f"{path} names {bad[0]!r}" if bad else f"{path} is empty", "get an undamaged copy of it"
        )
    return names


def vimeo(
    root: Path,
    part: Literal["train", "test"],
    form: Literal["triplet", "septuplet"] = "triplet",
    *,
    any_time: bool = False,
) -> list[Moment]:
    """The moments of Vimeo-90K. With ``any_time``, five a septuplet instead of its middle.

    Raises DataError where a list is missing or damaged. Images are looked for when they are read.
    """
    prefix, last = ("tri", 3) if form == "triplet" else ("sep", 7)
    middle = (1 + last) // 2
    targets = range(2, last) if any_time else (middle,)
    moments = []
    for name in read_list(root / f"{prefix}_{part}list.txt"):
        folder = root / "sequences" / name
        for target in targets:
            ends = (folder / "im1.png", folder / f"im{last}.png")
            t = (target - 1) / (last - 1)
            moments.append(Moment(ends[0], folder / f"im{target}.png", ends[1], t))
    return moments


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


def x4k_test(root: Path) -> list[Moment]:
    """X-TEST: seven moments a scene, between its frames 0 and 32. Raises DataError where frames lack."""
    moments = []
    for folder in sorted((root / "test").glob("*/*")):
        if not folder.is_dir():
            continue
        frames = sorted(folder.glob("*.png"))
        if len(frames) < XTEST_FRAMES:
            raise DataError(
                f"{folder} has {len(frames)} frames, not {XTEST_FRAMES}", "get a complete copy of X-TEST"
            )
        for place in range(XTEST_STEP, XTEST_FRAMES - 1, XTEST_STEP):
            t = place / (XTEST_FRAMES - 1)
            moments.append(Moment(frames[0], frames[place], frames[XTEST_FRAMES - 1], t))
    if not moments:
        raise DataError(f"{root} holds no test/<type>/<scene>", "point at the folder that holds 'test'")
    return moments


def mixed(ratio: Sequence[int]) -> Iterator[int]:
    """Which of several data sets each batch comes from, in turn: a ratio of 2 to 1 gives 0, 0, 1, 0, 0, 1, …

    Raises DataError where no share is above 0.
    """
    order = [index for index, share in enumerate(ratio) for _ in range(share)]
    if not order or min(ratio) < 0:
        raise DataError(f"the ratio of data sets is {list(ratio)}", "give counts such as [2, 1]")
    while True:
        yield from order
