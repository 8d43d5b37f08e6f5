"""Where the tracks of a video go: a CSV of boxes, and a video with the boxes drawn on it."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from ..engine import Track
from ..vision import Frame, Mark, VideoReader, VideoWriter, draw_tracks
from .output import replacing

COLUMNS = ("frame", "pts", "target", "x", "y", "w", "h", "score", "status")

Sink = Callable[[Frame, Sequence[Track]], None]
"""Takes the tracks of one frame; targets are numbered from 1, in the order of the sequence."""


@contextmanager
def boxes_csv(path: Path) -> Iterator[Sink]:
    """A line for each target in each frame; ``path`` appears when the block ends well.

    ``frame`` counts the frames that were decoded, from 0; ``pts`` is in ticks of the video's time base;
    boxes are in pixels.

    Raises:
        RunError: the file cannot be written.
    """
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(COLUMNS)

        def write(frame: Frame, tracks: Sequence[Track]) -> None:
            for target, track in enumerate(tracks, start=1):
                box = (f"{value:.3f}" for value in track.box.xywh)
                rows.writerow([frame.index, frame.pts, target, *box, f"{track.score:.4f}", track.status])

        yield write


@contextmanager
def annotated_video(path: Path, source: VideoReader) -> Iterator[Sink]:
    """Every frame with its boxes, at the times of ``source``; ``path`` appears when the block ends well.

    Raises:
        VideoWriteError: the file cannot be written.
    """
    with VideoWriter(
        path, source.width, source.height, source.frame_rate, time_base=source.time_base
    ) as video:

        def write(frame: Frame, tracks: Sequence[Track]) -> None:
            marks = [
                Mark(track.box, target, track.score, track.status)
                for target, track in enumerate(tracks, start=1)
            ]
            video.write(draw_tracks(frame.image, marks), frame.pts)

        yield write
