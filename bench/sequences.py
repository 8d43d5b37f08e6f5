"""Evaluation data for tracking: a folder of sequences, each a video and its true boxes.

::

    DIR/<sequence>/groundtruth.txt      a line a frame: x,y,w,h in pixels, nan,nan,nan,nan where absent
    DIR/<sequence>/attributes.txt       if known: what makes it hard, a name a line
    DIR/<sequence>/visible.txt          if known: the share of the target in the picture, a line a frame
    DIR/<sequence>/video.mp4            or numbered images, here or in img/ (as in OTB and LaSOT)

That is the layout ``framestate``; public benchmarks are read by their own, see `framestate.vision.datasets`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Generator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from ..errors import DataError, ImageError, OptionError
from ..vision.box import Box
from ..vision.datasets import LAYOUTS, LabelledSequence, detect_layout, tracking_sequences
from ..vision.frame import Frame
from ..vision.images import decode_image
from ..vision.reader import VideoReader
from .ope import check_truth

TRUTH = "groundtruth.txt"
VIDEO = "video.mp4"
VISIBLE = "visible.txt"
ATTRIBUTES = "attributes.txt"
OURS = "framestate"
PARTS = {"got10k": "val", "lasot": "test", "trackingnet": "test"}
"""The part of a benchmark that is evaluated unless another is asked for; all of the others."""

Kind = TypeVar("Kind")
_FORM = "Write x,y,w,h in pixels with a positive size, or nan,nan,nan,nan where the target is absent."


@dataclass(frozen=True, slots=True, eq=False)
class TrackingSequence:
    """One video with the true box of every frame.

    Attributes:
        name: the folder's name.
        source: the video file, the folder of images, or the image files of a benchmark, one a line of truth.
        truth: (frames, 4) ``x, y, w, h`` in pixels, read-only; NaN where the target is absent.
        in_view: (frames,) share of the target that is in the picture, where ``visible.txt`` says so.
        attributes: what makes it hard, where ``attributes.txt`` says so.
        withheld: whether a server keeps the truth of all frames but the first, so that nothing can be scored.
    """

    name: str
    source: Path | tuple[Path, ...]
    truth: npt.NDArray[np.float64]
    withheld: bool = False
    in_view: npt.NDArray[np.float64] | None = None
    attributes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.truth)

    @property
    def first_box(self) -> Box:
        """Where the target is in the first frame."""
        return Box(*self.truth[0].tolist())

    def frames(self) -> Generator[Frame, None, None]:
        """Decode the frames, one for each line of the truth; close the generator to stop early.

        Of the image files of a benchmark, one that does not decode is passed over: no frame has its index.

        Raises:
            DataError: the video has more or fewer frames than the truth has lines, or a frame does not
                decode; either way frames and lines cannot be matched. Of a benchmark, its first image does
                not decode.
            VideoError: the video cannot be read at all.
        """
        if isinstance(self.source, tuple):
            yield from self._images(self.source)
            return
        count = 0
        with VideoReader(self.source) as reader:
            for frame in reader:
                if reader.broken_packets or count == len(self):
                    break
                yield frame
                count += 1
            else:
                if count == len(self) and not reader.broken_packets:
                    return
            broken = reader.broken_packets
        if broken:
            problem = f"{self.source} is damaged after frame {count}"
        elif count < len(self):
            problem = f"{self.source} has {count} frames"
        else:
            problem = f"{self.source} has more than {count} frames"
        raise DataError(
            f"{problem}, and {TRUTH} of {self.name} has {len(self)} lines",
            "Every frame needs its line: restore the video or correct the file.",
        )

    def _images(self, files: tuple[Path, ...]) -> Generator[Frame, None, None]:
        for index, file in enumerate(files):
            try:
                image = decode_image(file.read_bytes())
            except (ImageError, OSError) as error:
                if index == 0:
                    raise DataError(
                        f"{file}, the first frame of {self.name}, does not decode ({error})",
                        "Get an undamaged copy of it: there the target is given.",
                    ) from error
                continue
            yield Frame(image, index, Fraction(1, 25), index)


def load_sequences(
    folder: str | Path, names: Collection[str] | None = None, *, layout: str = OURS, part: str | None = None
) -> list[TrackingSequence]:
    """All sequences of an evaluation folder in the order of their names, or those in ``names``.

    A folder that itself holds ``groundtruth.txt`` is one sequence. Hidden folders are passed over; any other
    folder must be a sequence, so that none goes missing unnoticed. Videos are only opened when they are read.

    Args:
        folder: of sequences as above, or of a benchmark.
        names: which ones; all where it is None.
        layout: ``framestate``, or one of the public benchmarks' (`framestate.vision.datasets.LAYOUTS`).
        part: of a benchmark: train, val, test or all; by default the one that it is evaluated on.

    Raises:
        DataError: the folder is missing or empty, or one of the sequences lacks a file or has a bad line.
        OptionError: one of ``names``, the layout or the part is not there.
    """
    root = Path(folder)
    if layout != OURS:
        listed = tracking_sequences(layout, root, part or PARTS.get(layout, "all"))
        chosen = _chosen({one.name: one for one in listed}, names, root)
        return [_of_benchmark(one) for one in chosen.values()]
    if not root.is_dir():
        raise DataError(f"{root} is not a folder", "Give a folder that holds one folder a sequence.")
    if (root / TRUTH).is_file():
        found = {root.resolve().name: root}
    else:
        found = {
            path.name: path for path in sorted(root.iterdir()) if path.is_dir() and path.name[0] not in "._"
        }
    if not found:
        raise DataError(
            f"{root} holds no sequence", f"Put one folder a sequence into it, each with {TRUTH} and {VIDEO}."
        )
    return [load_sequence(path, name) for name, path in _chosen(found, names, root).items()]


def find_layout(folder: str | Path, wish: str) -> str:
    """The layout of a folder: what is wished for, or what is found where that is ``auto``.

    Raises OptionError for a layout that there is not.
    """
    if wish == "auto":
        return detect_layout(folder) or OURS
    if wish != OURS and wish not in LAYOUTS:
        raise OptionError(f"There is no layout {wish!r}", f"Choose from auto, {OURS}, {', '.join(LAYOUTS)}.")
    return wish


def load_sequence(folder: str | Path, name: str | None = None) -> TrackingSequence:
    """The sequence in one folder, named after it unless ``name`` is given. Errors as in `load_sequences`."""
    path = Path(folder)
    truth = read_truth(path / TRUTH)
    check_truth(truth, str(path / TRUTH))
    return TrackingSequence(
        name or path.resolve().name,
        _source(path),
        truth,
        in_view=_in_view(path / VISIBLE, len(truth)),
        attributes=_attributes(path / ATTRIBUTES),
    )


def _attributes(file: Path) -> tuple[str, ...]:
    """Names, a line each; none where there is no such file. Raises DataError."""
    if not file.is_file():
        return ()
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"{file} cannot be read ({error})", "Write an attribute's name in each line."
        ) from error
    return tuple(name for line in lines if (name := line.strip()))


def _in_view(file: Path, frames: int) -> npt.NDArray[np.float64] | None:
    """Shares in [0, 1], a line a frame; None where there is no such file. Raises DataError."""
    if not file.is_file():
        return None
    try:
        shares = np.array(file.read_text(encoding="utf-8").split(), np.float64)
    except (OSError, ValueError) as error:
        raise DataError(f"{file} cannot be read ({error})", "Write a share in each line.") from error
    if len(shares) != frames or not ((shares >= 0) & (shares <= 1)).all():
        raise DataError(
            f"{file} has {len(shares)} numbers for {frames} frames, or one that is no share",
            "Write a share from 0 to 1 in each line, a line a frame.",
        )
    shares.setflags(write=False)
    return shares


def _of_benchmark(sequence: LabelledSequence) -> TrackingSequence:
    files, boxes = sequence.labelled()
    withheld = sequence.withheld and not np.isfinite(boxes[1:]).any()
    if withheld and not np.isfinite(boxes[0]).all():
        raise DataError(f"{sequence.truth} has no box of the first frame", "Get an undamaged copy of it.")
    if not withheld:
        check_truth(boxes, str(sequence.truth))
    boxes.setflags(write=False)
    return TrackingSequence(sequence.name, files, boxes, withheld)


def _chosen(found: dict[str, Kind], names: Collection[str] | None, root: Path) -> dict[str, Kind]:
    unknown = sorted(set(names or ()) - set(found))
    if unknown:
        few = ", ".join(list(found)[:30])
        raise OptionError(f"{root} has no sequence {', '.join(unknown)}", f"Choose from {few}.")
    return {name: one for name, one in found.items() if names is None or name in names}


def read_truth(path: str | Path) -> npt.NDArray[np.float64]:
    """The boxes of a ground truth file, (frames, 4), read-only; commas or white space part the numbers.

    Raises:
        DataError: the file is missing or empty, or a line (named in the message) is not a box.
    """
    file = Path(path)
    try:
        lines = file.read_text(encoding="utf-8").rstrip().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file} cannot be read ({error})", f"Put {TRUTH} beside the video.") from error
    if not lines:
        raise DataError(f"{file} is empty", _FORM)
    truth = np.array([_row(line, f"{file}, line {number}") for number, line in enumerate(lines, start=1)])
    truth.setflags(write=False)
    return truth


def _row(line: str, place: str) -> tuple[float, float, float, float]:
    parts = re.split(r"\s*,\s*|\s+", line.strip())
    if len(parts) != 4:
        raise DataError(f"{place}: {line!r} is not four numbers", _FORM)
    try:
        x, y, w, h = map(float, parts)
    except ValueError:
        raise DataError(f"{place}: {line!r} is not four numbers", _FORM) from None
    if all(math.isnan(value) for value in (x, y, w, h)):
        return x, y, w, h
    if not all(math.isfinite(value) for value in (x, y, w, h)) or w <= 0 or h <= 0:
        raise DataError(f"{place}: {line!r} is not a box", _FORM)
    return x, y, w, h


def _source(folder: Path) -> Path:
    for path in (folder / VIDEO, folder / "img"):
        if path.exists():
            return path
    if any(path.suffix.lower() in (".jpg", ".jpeg", ".png", ".webp") for path in folder.iterdir()):
        return folder
    raise DataError(
        f"{folder} has neither {VIDEO} nor images", f"Put {VIDEO} or numbered images beside {TRUTH}."
    )
