"""COCO as footage: every object of every picture is a sequence of one frame.

``annotations/instances_train2017.json`` and ``train2017/000000000009.jpg`` (or another year and part). Groups
(``iscrowd``) and objects that are too small are left out.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import DataError
from .footage import LEAST_AREA, Boxes, StillFootage


@dataclass(frozen=True, eq=False)
class StillSet:
    """Objects on pictures, as arrays: 860,000 of them take 35 MB."""

    name: str
    folder: Path
    files: tuple[str, ...]
    file_of: npt.NDArray[np.int64]
    """(objects,): the index of each one's picture."""
    boxes: Boxes
    """(objects, 4) x, y, w, h in pixels."""
    left_out: int

    def __len__(self) -> int:
        return len(self.boxes)

    def footage(self, index: int) -> StillFootage:
        """See `FootageSet.footage`."""
        file = self.files[int(self.file_of[index])]
        return StillFootage(f"{self.name}/{file}", self.folder / file, self.boxes[index : index + 1])


def coco_stills(root: Path, part: str = "train2017", *, name: str = "coco") -> StillSet:
    """The objects of one part of COCO.

    Raises:
        DataError: a file or folder is missing, is no JSON of instances, or names a picture elsewhere.
    """
    listing, folder = root / "annotations" / f"instances_{part}.json", root / part
    if not folder.is_dir():
        raise DataError(
            f"{folder} is not a folder", f"point at the folder that holds annotations/ and {part}/"
        )
    try:
        content: dict[str, Any] = json.loads(listing.read_bytes())
        files = {int(one["id"]): str(one["file_name"]) for one in content["images"]}
        objects = [
            (int(one["image_id"]), [float(side) for side in one["bbox"]], int(one.get("iscrowd", 0)))
            for one in content["annotations"]
        ]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise DataError(
            f"{listing} cannot be read ({type(error).__name__}: {error})",
            "get the instances of COCO: images with id and file_name, annotations with image_id and bbox",
        ) from error
    outside = [file for file in files.values() if Path(file).is_absolute() or ".." in Path(file).parts]
    if outside:
        raise DataError(f"{listing} names {outside[0]!r}", "get an undamaged copy of it")
    order = {number: place for place, number in enumerate(files)}
    kept = [
        (order[number], box)
        for number, box, crowd in objects
        if not crowd
        and number in order
        and len(box) == 4
        and min(box[2:]) > 0
        and box[2] * box[3] >= LEAST_AREA
    ]
    if not kept:
        raise DataError(f"{listing} holds no object that can be learned from", "get an undamaged copy of it")
    return StillSet(
        name,
        folder,
        tuple(files.values()),
        np.array([place for place, _ in kept], np.int64),
        np.array([box for _, box in kept], np.float64),
        len(objects) - len(kept),
    )
