"""Where the tracks of a video go: a table of boxes, and a video with the boxes drawn on it."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TextIO

from ..engine import Track
from ..errors import FramestateError
from ..vision import Encoding, Frame, Mark, Passengers, VideoReader, VideoWriter, draw_tracks, rehearse
from .output import note, replacing

COLUMNS = ("frame", "pts", "seconds", "target", "x", "y", "w", "h", "score", "status")
JSON_LINES, MOT = (".jsonl", ".ndjson"), (".txt", ".mot")
"""Suffixes of the other forms of a table of boxes; any other is CSV."""

Sink = Callable[[Frame, Sequence[Track]], None]
"""Takes the tracks of one frame; targets are numbered from 1, in the order of the sequence."""


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


@contextmanager
def annotated_video(
    path: Path, source: VideoReader, encoding: Encoding | None = None, notes: list[str] | None = None
) -> Iterator[Sink]:
    """Every frame with its boxes, at the times of ``source`` and looking as it does, with its sound.

    ``path`` appears when the block ends well. ``notes`` is told what is not in it as it was in the source.

    Raises:
        VideoWriteError: the file cannot be written.
        OptionError: the container cannot hold a stream of the source, or the encoder a setting.
    """
    look = source.look.in_eight_bits

    def aboard(only: Collection[int] | None, briefly: bool = True) -> Passengers:
        return Passengers(source.file, video=source.stream, shift=source.shift, only=only, briefly=briefly)

    def opened(path: Path, passengers: Passengers) -> VideoWriter:
        return VideoWriter(
            path, source.width, source.height, source.frame_rate, encoding=encoding,
            time_base=source.time_base, look=look, passengers=passengers,
        )  # fmt: skip

    rehearse(path, aboard, opened)
    with aboard(None, briefly=False) as passengers, opened(path, passengers) as video:

        def write(frame: Frame, tracks: Sequence[Track]) -> None:
            marks = [
                Mark(track.box, target, track.score, track.status)
                for target, track in enumerate(tracks, start=1)
            ]
            video.write(draw_tracks(frame.image, marks), frame.pts)

        yield write
        if source.end is not None and video.last_pts is not None:
            video.last_duration = max(1, round(source.end / source.time_base) - video.last_pts)
        if notes is not None:
            notes += passengers.left_out


def open_sinks(
    stack: ExitStack,
    source: VideoReader,
    out: Path | None,
    boxes: Path | None,
    encoding: Encoding | None,
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
        sinks.append(stack.enter_context(annotated_video(out, source, encoding, notes)))
    return sinks
