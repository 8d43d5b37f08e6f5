"""Where the tracks of a video go: a table of boxes, and the video of `annotate`."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TextIO

from ..errors import FramestateError
from ..vision import Encoding, Frame, VideoReader
from .annotate import Developed, Part, Sink, annotated_video
from .coco import CocoVideo
from .output import note, replacing
from .seen import Seen

COLUMNS = ("frame", "pts", "seconds", "target", "x", "y", "w", "h", "score", "status")
LABELLED = (*COLUMNS, "label")
JSON_LINES, MOT, COCO = (".jsonl", ".ndjson"), (".txt", ".mot"), (".json",)
"""Suffixes of the other forms of a table of boxes; any other is CSV."""


@contextmanager
def boxes_file(path: Path, source: VideoReader, labelled: bool = False) -> Iterator[Sink]:
    """A line for each target in each frame: CSV, JSON lines or MOT by the suffix; .json: a COCO-video file.

    ``frame`` counts the frames that were decoded, from 0 (MOT: from 1); ``pts`` is in ticks of the video's
    time base; boxes are in pixels. ``path`` appears when the block ends well. Where the run fails, what there
    is by then stands beside it, marked as partial.

    Raises:
        RunError: the file cannot be written.
    """
    lines = 0
    with replacing(path) as temporary:
        try:
            with temporary.open("w", newline="", encoding="utf-8") as file:
                coco = CocoVideo(source) if path.suffix.lower() in COCO else None
                write = coco.add if coco else _writer(file, path.suffix.lower(), labelled)

                def count(frame: Frame, seen: Sequence[Seen]) -> None:
                    nonlocal lines
                    write(frame, seen)
                    lines += len(seen)

                try:
                    yield count
                finally:
                    if coco is not None:
                        json.dump(coco.plain, file)
        except FramestateError:
            if lines:
                partial = path.with_name(f"{path.stem}.partial{path.suffix}")
                temporary.replace(partial)
                note(f"the boxes of the {lines} lines until then are in {partial}")
            raise


def _writer(file: TextIO, suffix: str, labelled: bool) -> Sink:
    """What writes what is seen in one frame into a file."""
    columns = LABELLED if labelled else COLUMNS
    if suffix in JSON_LINES:
        return lambda frame, seen: file.writelines(
            json.dumps(dict(zip(columns, values, strict=False))) + "\n" for values in _values(frame, seen)
        )
    if suffix in MOT:
        return lambda frame, seen: file.writelines(
            f"{index + 1},{target},{x:.3f},{y:.3f},{w:.3f},{h:.3f},{score:.4f},-1,-1,-1\n"
            for index, _, _, target, x, y, w, h, score, _, _ in _values(frame, seen)
        )
    rows = csv.writer(file, lineterminator="\n")
    rows.writerow(columns)

    def write(frame: Frame, seen: Sequence[Seen]) -> None:
        for index, pts, seconds, target, *box, score, status, label in _values(frame, seen):
            numbers = (f"{value:.3f}" for value in box)
            last = [label] if labelled else []
            rows.writerow([index, pts, f"{seconds:.6f}", target, *numbers, f"{score:.4f}", status, *last])

    return write


def _values(frame: Frame, seen: Sequence[Seen]) -> Iterator[tuple[Any, ...]]:
    """The values of `LABELLED` for each target."""
    for one in seen:
        at = frame.index, frame.pts, round(frame.seconds, 6)
        yield *at, one.target, *one.box.xywh, one.score, one.status, one.label


def open_sinks(
    stack: ExitStack,
    source: VideoReader,
    frames: Developed,
    out: Path | None,
    boxes: Path | None,
    encoding: Encoding | None,
    part: Part,
    notes: list[str],
    scene: bool = False,
) -> list[Sink]:
    """What takes the tracks: a file of ``boxes``, a video ``out``; they are finished as ``stack`` ends.

    Those of a ``scene`` have classes, and the video shows which way each target came.

    Raises:
        FramestateError: one of them cannot be written.
    """
    sinks: list[Sink] = []
    if boxes is not None:
        sinks.append(stack.enter_context(boxes_file(boxes, source, scene)))
    if out is not None:
        sinks.append(stack.enter_context(annotated_video(out, source, frames, notes, encoding, part, scene)))
    return sinks
