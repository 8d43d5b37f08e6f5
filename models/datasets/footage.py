"""Footage: pictures in order, with a box on some of them, read from disk when they are drawn.

``Footage`` is what samples are cut from; ``tracking.clips.Clip`` (in memory) has the same shape.
``FootageMix`` draws from several data sets by a ratio: single pieces for pairs, stretches of consecutive
frames for training on whole sequences.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from ...errors import DataError, ImageError, OptionError
from ...vision.datasets.sequence import LabelledSequence, usable
from ...vision.images import decode_image
from ...vision.pixels import Image

if TYPE_CHECKING:
    from multiprocessing.sharedctypes import Synchronized

    Counter = Synchronized[int]

Boxes = npt.NDArray[np.float64]
LEAST_AREA = 60.0
"""Square pixels below which a box is not learned from."""
TRIES = 50
"""Sequences drawn in a row that may be broken before a data set counts as broken as a whole."""


class Footage(Protocol):
    """Pictures in order."""

    @property
    def name(self) -> str:
        """Which data set and sequence it is."""

    @property
    def boxes(self) -> Boxes:
        """(frames, 4) x, y, w, h in pixels; NaN without a target."""

    @property
    def present(self) -> npt.NDArray[np.int64]:
        """Indices of frames that have a usable box, rising; never empty."""

    def pixels(self, index: int) -> Image:
        """A frame as RGB uint8 (H, W, 3). Raises ImageError where it does not decode."""


@dataclass(frozen=True, eq=False)
class SequenceFootage:
    """One sequence of a data set, its truth read. Frames are decoded one at a time."""

    name: str
    folder: Path
    files: list[str]
    boxes: Boxes
    present: npt.NDArray[np.int64]

    def pixels(self, index: int) -> Image:
        """See `Footage.pixels`."""
        return read_pixels(self.folder / self.files[index])


@dataclass(frozen=True, eq=False)
class StillFootage:
    """One object of one picture: footage of a single frame."""

    name: str
    frame: Path
    boxes: Boxes

    @property
    def present(self) -> npt.NDArray[np.int64]:
        """The one frame."""
        return np.zeros(1, np.int64)

    def pixels(self, index: int) -> Image:
        """See `Footage.pixels`."""
        return read_pixels(self.frame)


class FootageSet(Protocol):
    """A data set as footage by number; nothing but a list is in memory."""

    @property
    def name(self) -> str:
        """As a recipe names it."""

    def __len__(self) -> int: ...

    def footage(self, index: int) -> Footage | None:
        """Piece ``index``; None where its boxes are all too small. Raises DataError where it is broken."""


@dataclass(frozen=True, eq=False)
class SequenceSet:
    """Sequences of a data set as footage."""

    name: str
    sequences: Sequence[LabelledSequence]

    def __len__(self) -> int:
        return len(self.sequences)

    def footage(self, index: int) -> SequenceFootage | None:
        """See `FootageSet.footage`."""
        sequence = self.sequences[index]
        files, boxes = sequence.labelled_names()
        present = usable(boxes, LEAST_AREA)
        name = f"{self.name}/{sequence.name}"
        return SequenceFootage(name, sequence.folder, files, boxes, present) if len(present) else None


@dataclass(frozen=True, eq=False)
class Stretch:
    """Some frames of one piece of footage, in time order, the first of them with a usable box."""

    footage: Footage
    frames: tuple[int, ...]

    @property
    def boxes(self) -> Boxes:
        """(frames, 4) x, y, w, h in pixels; NaN where the target is absent."""
        return self.footage.boxes[list(self.frames)]

    def pixels(self, place: int) -> Image:
        """Frame number ``place`` of the stretch. Raises as `Footage.pixels`."""
        return self.footage.pixels(self.frames[place])


@dataclass(eq=False)
class FootageMix:
    """Data sets in a ratio. What does not read is counted, and drawn again with the same generator.

    Args:
        sets: at least one, none of them empty.
        ratio: how often each is drawn, relative to the others; as often as each other where it is empty.

    Raises:
        OptionError: the ratio does not fit the sets.
        DataError: a set is empty.
    """

    sets: Sequence[FootageSet]
    ratio: Sequence[float] = ()
    _skipped: Counter = field(init=False, repr=False)
    _cumulative: npt.NDArray[np.float64] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        ratio = np.asarray(self.ratio or [1.0] * len(self.sets), dtype=np.float64)
        if len(ratio) != len(self.sets) or not len(ratio) or (ratio < 0).any() or ratio.sum() <= 0:
            raise OptionError(
                f"ratio is {list(self.ratio)} for {len(self.sets)} data sets", "give a share for each"
            )
        empty = [one.name for one in self.sets if not len(one)]
        if empty:
            raise DataError(f"the data set {empty[0]} is empty", "correct its folder")
        self._cumulative = np.cumsum(ratio) / ratio.sum()
        self._skipped = multiprocessing.Value("q", 0)  # loader processes count in it too

    @property
    def skipped(self) -> int:
        """Sequences and pictures that could not be read so far, in this process and its loaders."""
        return int(self._skipped.value)

    def skip(self) -> None:
        """Counts one that could not be read."""
        with self._skipped.get_lock():
            self._skipped.value += 1

    def draw(self, rng: np.random.Generator) -> Footage:
        """A piece of footage: a set by the ratio, then each of its pieces as likely as the others.

        Raises DataError where none of several drawn ones can be read: the data set is broken as a whole then.
        """
        problem: DataError | None = None
        for _ in range(TRIES):
            place = int(np.searchsorted(self._cumulative, rng.random(), "right"))
            chosen = self.sets[min(place, len(self.sets) - 1)]
            try:
                found = chosen.footage(int(rng.integers(len(chosen))))
            except DataError as error:
                problem = error
                self.skip()
                continue
            if found is not None:
                return found
        raise DataError(
            f"none of {TRIES} sequences of {', '.join(one.name for one in self.sets)} is usable ({problem})",
            "get undamaged copies of them",
        )

    def frame(self, rng: np.random.Generator) -> Image:
        """Any frame of any footage, RGB uint8 (H, W, 3). Raises DataError as `draw`."""
        for _ in range(TRIES):
            footage = self.draw(rng)
            try:
                return footage.pixels(int(rng.integers(len(footage.boxes))))
            except ImageError:
                self.skip()
        raise DataError(f"pictures of {TRIES} drawn sequences do not decode", "get undamaged copies of them")

    def stretch(self, rng: np.random.Generator, length: int, most_step: int = 1) -> Stretch:
        """``length`` frames of one sequence, 1 to ``most_step`` frames apart, for training on sequences.

        The first of them has a usable box. Footage that is too short (a still) repeats its last frame. Any of
        the frames may fail to decode (ImageError) when it is read: draw another stretch then, and `skip`.
        Raises DataError as `draw`.
        """
        footage = self.draw(rng)
        step = int(rng.integers(1, most_step + 1))
        last = len(footage.boxes) - 1
        fitting = footage.present[footage.present + step * (length - 1) <= last]
        choices = fitting if len(fitting) else footage.present[:1]
        first = int(choices[rng.integers(len(choices))])
        frames = np.minimum(first + step * np.arange(length), last)
        return Stretch(footage, tuple(int(frame) for frame in frames))


def read_pixels(path: Path) -> Image:
    """An image file as RGB uint8 (H, W, 3). Raises ImageError where it is missing or does not decode."""
    try:
        return decode_image(path.read_bytes())
    except OSError as error:
        raise ImageError(f"{path} cannot be read ({error.strerror})", "get a complete copy of it") from error
