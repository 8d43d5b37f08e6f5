"""Still images with object masks, read straight out of ZIP archives.

An archive holds ``images/*`` and, optionally, one of ``masks/`` (binary), ``instances/`` (pixel value k is
the k-th object, 0 the background) or ``segments/`` (a label map that covers the image) under the same stem.
"""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ...errors import DataError
from ...vision.pixels import as_uint8

Pixels = npt.NDArray[np.uint8]
MASK_FOLDERS = ("masks", "instances", "segments")


@dataclass(frozen=True)
class Still:
    """One picture: JPEG bytes and, for its objects, label values in an encoded label map."""

    image: bytes
    labels: bytes | None
    objects: tuple[int, ...]

    def pixels(self) -> Pixels:
        """RGB uint8 (H, W, 3)."""
        bgr = decoded(self.image, cv2.IMREAD_COLOR)
        assert bgr is not None, "read_archive keeps only what decodes"
        return as_uint8(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB))

    def label_map(self) -> npt.NDArray[np.int32] | None:
        """(H, W) label values, or None for a picture without objects."""
        return None if self.labels is None else label_plane(self.labels)


@dataclass
class Archive:
    """The stills of one ZIP file and how many of its members were unusable."""

    path: Path
    stills: list[Still] = field(default_factory=list)
    skipped: int = 0
    segmented: bool = False  # regions of a segmentation: often stuff rather than things

    @property
    def object_weight(self) -> float:
        """How often each object is drawn: a whole archive weighs the root of its size, segments less."""
        return (0.35 if self.segmented else 1.0) / float(max(self.num_objects, 1) ** 0.5)

    @property
    def num_objects(self) -> int:
        """Objects in all of its stills."""
        return sum(len(still.objects) for still in self.stills)


def usable_objects(labels: npt.NDArray[np.int32], *, segments: bool) -> tuple[int, ...]:
    """Labels large enough to be tracked (300 pixels) and no larger than 0.6 of the picture.

    A segmentation that covers the picture has background among its labels: there, regions that touch two
    sides or more, fill little of their own box, or take more than 0.35 of the picture are left out.
    """
    found = []
    values, counts = np.unique(labels, return_counts=True)
    for value, count in zip(values.tolist(), counts.tolist(), strict=True):
        if value == 0 or count < 300 or count > (0.35 if segments else 0.6) * labels.size:
            continue
        if segments:
            region = labels == value
            sides = (
                int(region[0].any())
                + int(region[-1].any())
                + int(region[:, 0].any())
                + int(region[:, -1].any())
            )
            ys, xs = np.nonzero(region)
            if sides >= 2 or count < 0.35 * np.ptp(ys).clip(1) * np.ptp(xs).clip(1):
                continue
        found.append(value)
    return tuple(found)


def read_member(source: zipfile.ZipFile, name: str) -> bytes:
    """A member's bytes; none of them where it is damaged or locked."""
    try:
        return source.read(name)
    except (OSError, RuntimeError, zipfile.BadZipFile, zlib.error):
        return b""


def decoded(encoded: bytes, how: int) -> npt.NDArray[Any] | None:
    """What OpenCV makes of an encoded picture, or None."""
    return cv2.imdecode(np.frombuffer(encoded, np.uint8), how) if encoded else None


def label_plane(encoded: bytes) -> npt.NDArray[np.int32] | None:
    """(H, W) label values of an encoded label map (the first channel of one with several), or None."""
    labels = decoded(encoded, cv2.IMREAD_UNCHANGED)
    if labels is None:
        return None
    return (labels if labels.ndim == 2 else labels[..., 0]).astype(np.int32)


def read_archive(path: Path) -> Archive:
    """Reads every still of an archive; members that do not decode are counted and skipped.

    Raises DataError when the file is missing, is no ZIP archive, or holds no usable image.
    """
    try:
        opened = zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile) as error:
        raise DataError(
            f"{path} cannot be read as a ZIP archive ({error})", "give archives of images/ and masks/"
        ) from error
    with opened as source:
        names = source.namelist()
        archive = Archive(path, segmented=any(name.startswith("segments/") for name in names))
        maps = {
            PurePosixPath(name).stem: name
            for name in names
            if name.split("/")[0] in MASK_FOLDERS and name[-1] != "/"
        }
        for name in sorted(names):
            if not name.startswith("images/") or name.endswith("/"):
                continue
            image = read_member(source, name)
            if decoded(image, cv2.IMREAD_REDUCED_COLOR_8) is None:
                archive.skipped += 1
                continue
            labels: bytes | None = None
            objects: tuple[int, ...] = ()
            member = maps.get(PurePosixPath(name).stem)
            if member is not None:
                labels = read_member(source, member)
                plane = label_plane(labels)
                if plane is None:
                    labels = None
                    archive.skipped += 1
                else:
                    objects = usable_objects(plane, segments=member.startswith("segments"))
            archive.stills.append(Still(image, labels, objects))
    if not archive.stills:
        raise DataError(
            f"{path} holds no readable image under images/ ({archive.skipped} members skipped)",
            "check the archive",
        )
    return archive
