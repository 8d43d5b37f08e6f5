"""Evaluation data for interpolation: a folder of clips whose odd frames are withheld.

::

    DIR/<clip>/video.mp4            or numbered images; the odd frames are predicted from the even ones
    DIR/<clip>/*.png                exactly three: the middle one, in the order of names, is predicted

Clips may also lie one folder deeper (``DIR/clips/<clip>``), which groups them: their names are
``clips/<clip>`` then.

That is the layout ``framestate``; public test sets are read by their own, see
`framestate.vision.datasets.moments`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path
from typing import Protocol, TypeVar

import cv2

from ..errors import DataError, OptionError
from ..vision.datasets.moments import MOMENT_LAYOUTS, Moment, moments_of, read_picture
from ..vision.frame import Frame
from ..vision.images import IMAGE_SUFFIXES
from ..vision.pixels import Image, as_uint8
from ..vision.reader import VideoReader

VIDEO = "video.mp4"
OURS = "framestate"
LAYOUTS = (OURS, *MOMENT_LAYOUTS, "x-test-2k")
_SIGNS = {
    "vimeo-triplet": ("tri_testlist.txt",),
    "vimeo-septuplet": ("sep_testlist.txt",),
    "snu-film": ("test-easy.txt", "eval_modes/test-easy.txt"),
    "ucf101": ("*/frame_01_gt.png",),
    "middlebury": ("other-gt-interp/*/frame10i11.png",),
    "x-test": ("test/Type*/TEST*", "Type*/TEST*"),
}
Kind = TypeVar("Kind")
MOST_FRAMES = 400
"""Frames of a clip that are looked at: all of them are kept in memory, so that every method sees the same."""


class Clip(Protocol):
    """Frames of which each ``factor``-th is seen, and those between are made."""

    @property
    def name(self) -> str:
        """After that of its group, if there is one."""

    @property
    def group(self) -> str:
        """What the clip is counted with, or empty."""

    @property
    def factor(self) -> int:
        """A power of two."""

    @property
    def stamp(self) -> str:
        """What tells its files from others: their names and sizes in bytes."""

    def images(self) -> list[Image]:
        """RGB uint8, at least three, evenly spaced in time. Raises DataError, ImageError, VideoError."""


@dataclass(frozen=True, slots=True)
class InterpolationClip:
    """One clip, of which every other frame is seen.

    Attributes:
        name: the folder's name, after that of its group if there is one.
        source: the video file, or the folder of images.
    """

    name: str
    source: Path

    @property
    def group(self) -> str:
        """The folder above the clip, where clips are grouped; else empty."""
        return self.name.rpartition("/")[0]

    @property
    def factor(self) -> int:
        """Every other frame is seen."""
        return 2

    @property
    def stamp(self) -> str:
        """See `Clip.stamp`."""
        return _stamp(sorted(self.source.iterdir()) if self.source.is_dir() else [self.source])

    def images(self) -> list[Image]:
        """The pictures of `frames`."""
        return [frame.image for frame in self.frames()]

    def frames(self) -> list[Frame]:
        """The first frames of the clip, an odd number of them, so that each odd frame has two neighbours.

        Raises:
            DataError: there are fewer than three, a frame does not decode, or the size changes.
            VideoError: the video cannot be read at all.
        """
        with VideoReader(self.source, exact_colour=True) as reader:
            found = list(islice(reader, MOST_FRAMES))
            broken = reader.broken_packets
        if broken:
            raise DataError(f"{self.source} has {broken} frames that do not decode", "Restore the file.")
        if len(found) < 3:
            raise DataError(f"{self.source} has {len(found)} frames", "Give at least three.")
        if len({frame.image.shape for frame in found}) > 1:
            raise DataError(f"the size of the frames of {self.source} changes", "Give frames of one size.")
        return found[: len(found) - 1 + len(found) % 2]


@dataclass(frozen=True, slots=True)
class MomentClip:
    """Moments of a public test set between the same two frames: one, or all of a scene of X-TEST."""

    name: str
    moments: tuple[Moment, ...]
    size: tuple[int, int] | None = None
    """Width and height that images are shrunk to, in 8 bits."""

    @property
    def group(self) -> str:
        """What comes before the slash of the name, such as the level of SNU-FILM."""
        return self.name.rpartition("/")[0]

    @property
    def factor(self) -> int:
        """2, or 8 for X-TEST."""
        return len(self.moments) + 1

    @property
    def stamp(self) -> str:
        """See `Clip.stamp`."""
        first = self.moments[0]
        return _stamp([first.first, *(moment.target for moment in self.moments), first.second])

    def images(self) -> list[Image]:
        """Both ends, and what is to be made between them. Raises DataError, ImageError."""
        first = self.moments[0]
        files = [first.first, *(moment.target for moment in self.moments), first.second]
        found = [read_picture(file) for file in files]
        if len({image.shape for image in found}) > 1:
            raise DataError(f"the images of {self.name} differ in size", "Get an undamaged copy of them.")
        if self.size is None:
            return found
        return [as_uint8(cv2.resize(image, self.size, interpolation=cv2.INTER_AREA)) for image in found]


def load_clips(
    folder: str | Path, names: Collection[str] | None = None, *, layout: str = OURS
) -> Sequence[Clip]:
    """All clips of an evaluation folder in the order of their names, or those in ``names``.

    ``layout`` is ``framestate``, or the name of a public test set, see `LAYOUTS`.

    Raises:
        DataError: the folder is missing, or holds no clip.
        OptionError: one of ``names``, or the layout, is not there.
    """
    root = Path(folder)
    if layout != OURS:
        listed = {clip.name: clip for clip in _of_test_set(root, layout)}
        return list(_chosen(listed, names, root).values())
    if not root.is_dir():
        raise DataError(f"{root} is not a folder", "Give a folder that holds one folder a clip.")
    found = dict(_clips(root))
    if not found:
        raise DataError(
            f"{root} holds no clip", f"Put one folder a clip into it, each with {VIDEO} or numbered images."
        )
    return list(_chosen(found, names, root).values())


def find_layout(folder: str | Path, wish: str) -> str:
    """The layout of a folder: what is wished for, or what is found where that is ``auto``.

    Raises OptionError for a layout that there is not.
    """
    if wish != "auto":
        if wish not in LAYOUTS:
            raise OptionError(f"There is no layout {wish!r}", f"Choose from auto, {', '.join(LAYOUTS)}.")
        return wish
    root = Path(folder)
    for layout, patterns in _SIGNS.items():
        if any(any(root.glob(pattern)) for pattern in patterns):
            return layout
    return OURS


def _stamp(files: Sequence[Path]) -> str:
    sizes = [(file.name, file.stat().st_size if file.is_file() else -1) for file in files]
    return hashlib.sha256(repr(sizes).encode()).hexdigest()[:16]


def _of_test_set(root: Path, layout: str) -> Iterator[MomentClip]:
    shrunk = layout == "x-test-2k"
    moments = moments_of("x-test" if shrunk else layout, root)
    for _, group in groupby(moments, key=lambda moment: (moment.first, moment.second)):
        found = tuple(group)
        name = found[0].name if len(found) == 1 else found[0].name.rpartition("/")[0]
        yield MomentClip(name, found, (2048, 1080) if shrunk else None)


def _chosen(found: dict[str, Kind], names: Collection[str] | None, root: Path) -> dict[str, Kind]:
    unknown = sorted(set(names or ()) - set(found))
    if unknown:
        few = ", ".join(list(found)[:30])
        raise OptionError(f"{root} has no clip {', '.join(unknown)}", f"Choose from {few}.")
    return {name: clip for name, clip in found.items() if names is None or name in names}


def _clips(root: Path) -> Iterator[tuple[str, InterpolationClip]]:
    source = _source(root)
    if source is not None:
        name = root.resolve().name
        yield name, InterpolationClip(name, source)
        return
    for folder in _folders(root):
        source = _source(folder)
        if source is not None:
            yield folder.name, InterpolationClip(folder.name, source)
            continue
        for inner in _folders(folder):
            source = _source(inner)
            if source is not None:
                name = f"{folder.name}/{inner.name}"
                yield name, InterpolationClip(name, source)


def _folders(root: Path) -> list[Path]:
    return [path for path in sorted(root.iterdir()) if path.is_dir() and path.name[0] not in "._"]


def _source(folder: Path) -> Path | None:
    if (folder / VIDEO).is_file():
        return folder / VIDEO
    has_images = any(path.suffix.lower() in IMAGE_SUFFIXES for path in folder.iterdir())
    return folder if has_images else None
