"""`LabelledSequence`: one video of a tracking data set, its images and truth read when asked for."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ...errors import DataError
from ..images import IMAGE_SUFFIXES, by_number
from .truth import Boxes, read_boxes, read_labels


@dataclass(frozen=True, slots=True)
class Hidden:
    """A file of labels, one a frame; the target is hidden in frames whose label is ``value``."""

    path: Path
    value: int


@dataclass(frozen=True, slots=True)
class LabelledSequence:
    """One video of a data set. Only paths are kept: a data set of 30,000 of them opens at once.

    Attributes:
        name: as the benchmark calls it.
        folder: where its images lie.
        truth: its boxes, a line a frame.
        skip: images before the first line (parts of UAV123 share a folder; OTB's David begins at 300).
        spare: whether images behind the last line are passed over; else they are an error.
        hidden: labels of frames that count as without a target.
        withheld: whether a server keeps the truth of all frames but the first.
    """

    name: str
    folder: Path
    truth: Path
    skip: int = 0
    spare: bool = False
    hidden: tuple[Hidden, ...] = ()
    withheld: bool = False

    def names(self) -> list[str]:
        """The files of its images from the first labelled one on, by their numbers.

        Raises DataError where the folder cannot be read, or holds too few.
        """
        try:
            found = [name for name in os.listdir(self.folder) if name.lower().endswith(IMAGE_SUFFIXES)]
        except OSError as error:
            raise DataError(
                f"{self.folder}, the images of {self.name}, cannot be read ({error.strerror})",
                "Get a complete copy of the data set.",
            ) from error
        # numbers with leading zeros sort as they are, which is ten times as fast
        found.sort(key=None if len(set(map(len, found))) == 1 else by_number)
        if len(found) <= self.skip:
            raise DataError(
                f"{self.folder} has {len(found)} images, and {self.name} begins with image {self.skip + 1}",
                "Get a complete copy of the data set.",
            )
        return found[self.skip :]

    def frames(self) -> tuple[Path, ...]:
        """The paths of `names`."""
        return tuple(self.folder / name for name in self.names())

    def boxes(self) -> Boxes:
        """x, y, w, h of every labelled frame in pixels, (lines, 4), NaN where no target is to be seen.

        Raises:
            DataError: a file is missing, or a line is broken (file and line are named).
        """
        boxes = read_boxes(self.truth)
        for label in self.hidden:
            values = read_labels(label.path)
            if len(values) != len(boxes):
                raise DataError(
                    f"{label.path} has {len(values)} labels for {len(boxes)} boxes of {self.name}",
                    "Get an undamaged copy of the data set.",
                )
            boxes[values == label.value] = np.nan
        return boxes

    def labelled(self) -> tuple[tuple[Path, ...], Boxes]:
        """The images and a row of boxes for each, as `labelled_names`."""
        names, boxes = self.labelled_names()
        return tuple(self.folder / name for name in names), boxes

    def labelled_names(self) -> tuple[list[str], Boxes]:
        """The files of images and a row of boxes for each, (frames, 4); NaN rows where the truth is withheld.

        Raises DataError where images and lines do not match, besides what `names` and `boxes` raise.
        """
        names, boxes = self.names(), self.boxes()
        if self.withheld and len(boxes) == 1:
            unknown = np.full((len(names) - 1, 4), np.nan)
            return names, np.vstack([boxes, unknown])
        if len(names) < len(boxes) or (len(names) > len(boxes) and not self.spare):
            raise DataError(
                f"{self.folder} has {len(names)} images for {len(boxes)} lines of {self.truth}",
                "Get a complete copy of the data set.",
            )
        return names[: len(boxes)], boxes


def usable(boxes: Boxes, least_area: float = 0.0) -> npt.NDArray[np.int64]:
    """Indices of frames with a box of at least ``least_area`` square pixels."""
    areas = np.nan_to_num(boxes[:, 2] * boxes[:, 3], nan=-1.0)
    return np.flatnonzero(areas >= max(least_area, 1e-9))
