"""Where the tracks of a video go: a table of boxes, and the video of `annotate`."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TextIO

from ..engine import Track
from ..errors import FramestateError
from ..vision import Encoding, Frame, VideoReader
from .annotate import Developed, Part, Sink, annotated_video
from .output import note, replacing

COLUMNS = ("frame", "pts", "seconds", "target", "x", "y", "w", "h", "score", "status")
JSON_LINES, MOT = (".jsonl", ".ndjson"), (".txt", ".mot")
"""Suffixes of the other forms of a table of boxes; any other is CSV."""


@contextmanager
def boxes_file(path: Path) -> Iterator[Sink]:
    """A line for each target in each frame: CSV, JSON lines or MOT by the suffix of ``path``.

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
                write = _writer(file, path.suffix.lower())

                def count(frame: Frame, tracks: Sequence[Track]) -> None:
                    nonlocal lines
                    write(frame, tracks)
                    lines += len(tracks)

                yield count
        except FramestateError:
            if lines:
                partial = path.with_name(f"{path.stem}.partial{path.suffix}")
                temporary.replace(partial)
                note(f"the boxes of the {lines} lines until then are in {partial}")
            raise


def _writer(file: TextIO, suffix: str) -> Sink:
    """What writes one frame's tracks into a file."""
    if suffix in JSON_LINES:
        return lambda frame, tracks: file.writelines(
            json.dumps(dict(zip(COLUMNS, values, strict=True))) + "\n" for values in _values(frame, tracks)
        )
    if suffix in MOT:
        return lambda frame, tracks: file.writelines(
            f"{index + 1},{target},{x:.3f},{y:.3f},{w:.3f},{h:.3f},{score:.4f},-1,-1,-1\n"
            for index, _, _, target, x, y, w, h, score, _ in _values(frame, tracks)
        )
    rows = csv.writer(file, lineterminator="\n")
    rows.writerow(COLUMNS)

    def write(frame: Frame, tracks: Sequence[Track]) -> None:
        for index, pts, seconds, target, *box, score, status in _values(frame, tracks):
            numbers = (f"{value:.3f}" for value in box)
            rows.writerow([index, pts, f"{seconds:.6f}", target, *numbers, f"{score:.4f}", status])

    return write


def _values(frame: Frame, tracks: Sequence[Track]) -> Iterator[tuple[Any, ...]]:
    """The values of `COLUMNS` for each target."""
    for target, track in enumerate(tracks, start=1):
        box = track.box.xywh
        yield frame.index, frame.pts, round(frame.seconds, 6), target, *box, track.score, track.status


def open_sinks(
    stack: ExitStack,
    source: VideoReader,
    frames: Developed,
    out: Path | None,
    boxes: Path | None,
    encoding: Encoding | None,
    part: Part,
    notes: list[str],
) -> list[Sink]:
    """What takes the tracks: a file of ``boxes``, a video ``out``; they are finished as ``stack`` ends.

    Raises:
        FramestateError: one of them cannot be written.
    """
    sinks: list[Sink] = []
    if boxes is not None:
        sinks.append(stack.enter_context(boxes_file(boxes)))
    if out is not None:
        sinks.append(stack.enter_context(annotated_video(out, source, frames, notes, encoding, part)))
    return sinks
