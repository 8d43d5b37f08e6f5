"""Evaluation data for interpolation: a folder of clips whose odd frames are withheld.

::

    DIR/<clip>/video.mp4            or numbered images; the odd frames are predicted from the even ones
    DIR/<clip>/*.png                exactly three: the middle one, in the order of names, is predicted

Clips may also lie one folder deeper (``DIR/clips/<clip>``), which groups them: their names are
``clips/<clip>`` then.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from ..errors import DataError, OptionError
from ..vision.frame import Frame
from ..vision.images import IMAGE_SUFFIXES
from ..vision.reader import VideoReader

VIDEO = "video.mp4"
MOST_FRAMES = 400
"""Frames of a clip that are looked at: all of them are kept in memory, so that every method sees the same."""


@dataclass(frozen=True, slots=True)
class InterpolationClip:
    """One clip.

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


def load_clips(folder: str | Path, names: Collection[str] | None = None) -> list[InterpolationClip]:
    """All clips of an evaluation folder in the order of their names, or those in ``names``.

    Raises:
        DataError: the folder is missing, or holds no clip.
        OptionError: one of ``names`` is not there.
    """
    root = Path(folder)
    if not root.is_dir():
        raise DataError(f"{root} is not a folder", "Give a folder that holds one folder a clip.")
    found = dict(_clips(root))
    if not found:
        raise DataError(
            f"{root} holds no clip", f"Put one folder a clip into it, each with {VIDEO} or numbered images."
        )
    unknown = sorted(set(names or ()) - set(found))
    if unknown:
        raise OptionError(f"{root} has no clip {', '.join(unknown)}", f"Choose from {', '.join(found)}.")
    return [clip for name, clip in found.items() if names is None or name in names]


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
