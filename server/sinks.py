"""What becomes of a video's answers: files, by the task; each file is there whole or not at all."""

from __future__ import annotations

import csv
import json
import zipfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol, TextIO

from ..engine import Classification, Output, Track
from ..vision import Box, Frame, Mark, VideoReader, VideoWriter, draw_tracks
from ..wire.kinds import packed, write
from .jobs import Job

BOXES, TRACKED, LABELS, VALUES, TENSORS = (
    "boxes.csv",
    "tracked.mp4",
    "labels.csv",
    "values.jsonl",
    "tensors.npz",
)
BOX_COLUMNS = ("frame", "pts", "seconds", "target", "x", "y", "w", "h", "score", "status")
LABEL_COLUMNS = ("frame", "pts", "label", "probability")


class Sink(Protocol):
    """Takes the answers of one frame after another, one of each session of the job."""

    names: list[str]
    """Of the files, once all is written."""

    def begin(self, frame: Frame) -> None:
        """The frame that the sessions were opened on, where their task wants one: it has no answer."""

    def take(self, frame: Frame, answers: Sequence[Any]) -> None:
        """What a frame came to."""


class BoxesSink:
    """Boxes, and with ``annotate`` a video with the boxes drawn in."""

    def __init__(self, job: Job, video: VideoReader, folder: Path, stack: ExitStack) -> None:
        self.names = [BOXES]
        self._boxes = [Box(*values) for values in job.options["boxes"]]
        self._rows = csv.writer(text_file(folder / BOXES, stack), lineterminator="\n")
        self._rows.writerow(BOX_COLUMNS)
        self._film: VideoWriter | None = None
        if job.options.get("annotate"):
            self.names.append(TRACKED)
            self._film = stack.enter_context(film(folder / TRACKED, video, video.width, video.height))

    def begin(self, frame: Frame) -> None:
        """See ``Sink``."""
        self.take(frame, [Track(box, 1.0, "tracking", frame.index) for box in self._boxes])

    def take(self, frame: Frame, answers: Sequence[Track]) -> None:
        """See ``Sink``."""
        for target, track in enumerate(answers, start=1):
            box = [f"{value:.3f}" for value in track.box.xywh]
            seconds = f"{frame.seconds:.6f}"
            self._rows.writerow(
                [frame.index, frame.pts, seconds, target, *box, f"{track.score:.4f}", track.status]
            )
        if self._film is not None:
            marks = [Mark(one.box, n, one.score, one.status) for n, one in enumerate(answers, start=1)]
            self._film.write(draw_tracks(frame.image, marks), frame.pts)


class LabelsSink:
    """The most likely class of each frame."""

    def __init__(self, job: Job, video: VideoReader, folder: Path, stack: ExitStack) -> None:
        self.names = [LABELS]
        self._rows = csv.writer(text_file(folder / LABELS, stack), lineterminator="\n")
        self._rows.writerow(LABEL_COLUMNS)

    def begin(self, frame: Frame) -> None:
        """See ``Sink``."""

    def take(self, frame: Frame, answers: Sequence[Classification]) -> None:
        """See ``Sink``."""
        for one in answers:
            self._rows.writerow([frame.index, frame.pts, one.label, f"{one.probability:.4f}"])


class ValuesSink:
    """Whatever an answer holds: values by line, pictures as a video a name, large tensors as an archive."""

    def __init__(self, job: Job, video: VideoReader, folder: Path, stack: ExitStack) -> None:
        self.names = [VALUES]
        self._video, self._folder, self._stack = video, folder, stack
        self._lines = text_file(folder / VALUES, stack)
        self._films: dict[str, VideoWriter] = {}
        self._archive: zipfile.ZipFile | None = None

    def begin(self, frame: Frame) -> None:
        """See ``Sink``."""

    def take(self, frame: Frame, answers: Sequence[Any]) -> None:
        """See ``Sink``."""
        for answer in answers:
            written = write(answer)
            line = {"frame": frame.index, "pts": frame.pts, "kind": written.kind, **written.values}
            self._lines.write(json.dumps(line) + "\n")
            for number, picture in enumerate(written.pictures):
                names = list(answer.pictures) if isinstance(answer, Output) else []
                name = names[number] if number < len(names) else f"picture{number}"
                self._film(name, picture).write(picture.image, frame.pts)
            for number, tensor in enumerate(written.tensors):
                with self._tensors().open(f"{number}/{frame.index}.npy", "w") as file:
                    file.write(packed(tensor))

    def _film(self, name: str, picture: Frame) -> VideoWriter:
        if name not in self._films:
            file = "".join(letter if letter.isalnum() or letter in "_-" else "_" for letter in name) + ".mp4"
            self.names.append(file)
            opened = film(self._folder / file, self._video, picture.width, picture.height)
            self._films[name] = self._stack.enter_context(opened)
        return self._films[name]

    def _tensors(self) -> zipfile.ZipFile:
        if self._archive is None:
            self.names.append(TENSORS)
            self._archive = self._stack.enter_context(
                zipfile.ZipFile(whole(self._folder / TENSORS, self._stack), "w")
            )
        return self._archive


SINKS: Mapping[str, Callable[[Job, VideoReader, Path, ExitStack], Sink]] = MappingProxyType(
    {"tracking": BoxesSink, "classification": LabelsSink}
)
"""By the task; of any other task, whatever its answers hold."""


def sink_of(task: str, job: Job, video: VideoReader, folder: Path, stack: ExitStack) -> Sink:
    """Where the answers of a job go. The files are there when ``stack`` ends well."""
    return SINKS.get(task, ValuesSink)(job, video, folder, stack)


def film(path: Path, video: VideoReader, width: int, height: int) -> VideoWriter:
    """A video at the times of another."""
    return VideoWriter(path, width, height, video.frame_rate, time_base=video.time_base)


def whole(path: Path, stack: ExitStack) -> Path:
    """A scratch file that takes the place of ``path`` when ``stack`` ends well."""
    scratch = path.with_suffix(".part")

    def settle(kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            scratch.replace(path)
        else:
            scratch.unlink(missing_ok=True)

    stack.push(settle)
    return scratch


def text_file(path: Path, stack: ExitStack) -> TextIO:
    """A file for text, see ``whole``."""
    return stack.enter_context(whole(path, stack).open("w", newline="", encoding="utf-8"))
