"""``--calibrate``: the videos that int8 numbers are fitted to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import DataError
from .output import note

if TYPE_CHECKING:
    from ..export.calibration import Clip
    from ..vision import Frame

MIDDLE = 0.25  # share of the frame's sides, for the target of a video that names none


def calibration_clips(path: Path) -> list[Clip]:
    """The clips in a folder of sequences as ``eval tracking`` takes it, or one video.

    A video without ``groundtruth.txt`` beside it has no target; then whatever is in the middle of its first
    frame is followed, which is said.

    Raises:
        DataError, VideoError: there is no such file, or it cannot be read.
    """
    from ..bench.sequences import TRUTH, load_sequence, load_sequences
    from ..export.calibration import Clip

    if path.is_dir():
        return [Clip(one.name, one.first_box, one.frames) for one in load_sequences(path)]
    if not path.is_file():
        raise DataError(f"--calibrate {path} is neither a video nor a folder of sequences", "Check the path.")
    if (path.parent / TRUTH).is_file() and load_sequence(path.parent).source == path:
        sequence = load_sequence(path.parent)
        return [Clip(sequence.name, sequence.first_box, sequence.frames)]
    return [_middle_of(path)]


def _middle_of(path: Path) -> Clip:
    from ..export.calibration import Clip
    from ..vision import Box, VideoReader

    with VideoReader(path) as reader:
        width, height = reader.width, reader.height

    def frames() -> Iterator[Frame]:
        with VideoReader(path) as reader:
            yield from reader

    note(f"{path} names no target, so the middle of its first frame is followed")
    box = Box.from_centre(width / 2, height / 2, MIDDLE * width, MIDDLE * height)
    return Clip(path.name, box, frames)
