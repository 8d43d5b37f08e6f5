"""Where the detections of ``framestate track`` come from: a file of them, or a detector's ONNX file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import DataError, InputError, OptionError
from .eval_shared import names_in

if TYPE_CHECKING:
    from ..engine.scene import Detections
    from ..vision import Frame
    from .followers import Detect

File = Annotated[
    Path | None,
    typer.Option(
        "--detections",
        metavar="FILE",
        help="Detections in the form of MOTChallenge: frame (from 1), id, x, y, w, h, score. "
        "A frame without a line is one where nobody looked.",
    ),
]
Model = Annotated[
    Path | None,
    typer.Option(
        "--detector", metavar="FILE", help="An ONNX file of the YOLO form (v8, v11), which finds targets."
    ),
]
Rounds = Annotated[
    int, typer.Option("--detect-every", metavar="N", min=1, help="Ask the detector at every Nth frame.")
]
Classes = Annotated[
    str,
    typer.Option(
        "--classes",
        metavar="A,B",
        help="Only these classes of the detector, by name; a name with a comma in double quotes.",
    ),
]
Score = Annotated[
    float, typer.Option("--detector-score", min=0, max=1, help="Least score of the detector that counts.")
]
Delay = Annotated[
    int,
    typer.Option(
        "--delay",
        metavar="N",
        min=0,
        max=1000,
        help="Hold N frames in memory, and put their boxes right by the detections that follow: two rounds' "
        "worth is plenty.",
    ),
]


def detect_with(
    detections: Path | None,
    detector: Path | None,
    every: int,
    classes: str,
    score: float,
    device: str,
    threads: int | None,
) -> Detect | None:
    """What detects, if anything does.

    Raises:
        OptionError: there are two of them, or options of one that is not there.
        DataError, BundleError: the file cannot be used.
    """
    if detections is not None and detector is not None:
        raise OptionError("--detections and --detector are both given", "give one of them")
    if detector is None and classes:
        raise OptionError("--classes are those of a detector", "give --detector, too")
    if detections is not None:
        return from_file(detections)
    if detector is not None:
        return from_model(detector, every, classes, score, device, threads)
    return None


def from_file(path: Path) -> Detect:
    """The detections of a file; scores that are no shares are brought into [0, 1]."""
    import numpy as np

    from ..bench.scenes import read_mot, scaled
    from ..engine.scene import Detections

    rows = scaled(read_mot(path, 7))
    if not len(rows):
        raise DataError(f"{path} holds no detections", "give a line for each: frame,id,x,y,w,h,score")
    order = np.argsort(rows[:, 0], kind="stable")
    rows = rows[order]
    frames, starts = np.unique(rows[:, 0].astype(int), return_index=True)
    parts = dict(zip(frames.tolist(), np.split(rows, starts[1:]), strict=True))
    for frame, part in parts.items():
        try:
            Detections.from_xywh(part[:, 2:6], part[:, 6])
        except InputError as error:
            raise DataError(f"frame {frame} of {path}: {error.problem}", error.remedy) from error

    def detect(frame: Frame) -> Detections | None:
        part = parts.get(frame.index + 1)
        return None if part is None else Detections.from_xywh(part[:, 2:6], part[:, 6])

    return detect


def from_model(
    path: Path, every: int, classes: str, score: float, device: str, threads: int | None
) -> Detect:
    """A detector that is asked at every Nth frame, beginning with the first one that there is."""
    from ..engine.scene import Finder

    find = Finder(path, device=device, threads=threads, score=score, classes=names_in(classes))
    asked = -1

    def detect(frame: Frame) -> Detections | None:
        nonlocal asked
        asked += 1
        return find(frame.image) if asked % every == 0 else None

    return detect
