"""The video of a tracked video: every frame with its boxes, looking and sounding as the source does."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from ..errors import OptionError
from ..vision import (
    Encoding,
    Frame,
    Mark,
    Passengers,
    VideoReader,
    VideoWriter,
    changes,
    draw_tracks,
    draw_trails,
    rehearse,
)
from ..vision.pixels import Image, is_deep
from ..vision.tone import Tone
from .seen import Seen

Sink = Callable[[Frame, Sequence[Seen]], None]
"""Takes what is seen in one frame."""

TRAIL = 30
"""Frames of a target's way that are drawn."""


class Developed:
    """Frames as a model sees them, in 8 bits and SDR, while what was decoded waits to be drawn on.

    Args:
        frames: of ``source``.
        source: their reader.
        keeps: whether somebody will ask for each of the originals, in order.
    """

    def __init__(self, frames: Iterator[Frame], source: VideoReader, keeps: bool) -> None:
        self.tone = Tone(source.look)
        self._frames, self._keeps = frames, keeps
        self._originals: dict[int, Image] = {}  # as many as are read ahead

    def __iter__(self) -> Iterator[Frame]:
        for frame in self._frames:
            if not is_deep(frame.image):
                yield frame
                continue
            if self._keeps:
                self._originals[frame.index] = frame.image
            yield Frame(self.tone.to_sdr(frame.image), frame.pts, frame.time_base, frame.index)

    def original(self, frame: Frame) -> Image:
        """What was decoded for a frame; may be asked for once."""
        return self._originals.pop(frame.index, frame.image)


@dataclass(frozen=True)
class Part:
    """What of a source the video shows.

    Attributes:
        begin: when its first frame is shown there, in seconds: the video begins with it.
        is_cut: whether it may end before the source does; its sound does so then.
        every: how many frames of the source each one stands for.
    """

    begin: Fraction = Fraction(0)
    is_cut: bool = False
    every: int = 1


@contextmanager
def annotated_video(
    path: Path,
    source: VideoReader,
    developed: Developed,
    notes: list[str],
    encoding: Encoding | None = None,
    part: Part | None = None,
    with_trails: bool = False,
) -> Iterator[Sink]:
    """Every frame with its boxes, at the times of ``source``; ``path`` appears when the block ends well.

    Args:
        path: a file name, or a pipe.
        source: what the frames come from.
        developed: has them as they were decoded.
        notes: is told what is not in the video as it was in the source.
        encoding: how they are encoded.
        part: which of them there are.
        with_trails: draw the way that targets came, too.

    Raises:
        VideoWriteError: the file cannot be written.
        OptionError: the container cannot hold a stream of the source, or the encoder has no such setting.
    """
    look = (source.look if source.is_deep else source.look.in_eight_bits).opaque
    tick, part = source.time_base, part or Part()
    begin = round(part.begin / tick)

    def aboard(only: Collection[int] | None, briefly: bool = True) -> Passengers:
        return Passengers(
            source.file, video=source.stream, shift=source.shift, begin=part.begin, fitting=True,
            only=only, briefly=briefly,
        )  # fmt: skip

    def opened(path: Path, passengers: Passengers) -> VideoWriter:
        return VideoWriter(
            path, source.width, source.height, source.frame_rate / part.every, encoding=encoding,
            time_base=tick, look=look, passengers=passengers,
        )  # fmt: skip

    taken: Collection[int] | None = None
    try:
        rehearse(path, aboard, opened, deep=source.is_deep)
    except OptionError as error:  # the boxes matter more than the sound
        rehearse(path, lambda only: aboard(()), opened, deep=source.is_deep)
        taken = ()
        notes.append(f"{error.problem}: sound and subtitles are left out")
    with aboard(taken, briefly=False) as passengers, opened(path, passengers) as video:
        trails: dict[int, deque[tuple[float, float]]] = {}

        def write(frame: Frame, seen: Sequence[Seen]) -> None:
            marks = [Mark(one.box, one.target, one.score, one.status, one.label) for one in seen]
            shown = draw_trails(frame.image, extended(trails, seen)) if with_trails else frame.image
            drawn = draw_tracks(shown, marks)
            original = developed.original(frame)
            video.write(developed.tone.painted(original, frame.image, drawn), frame.pts - begin)

        yield write
        if video.last_pts is not None and not part.is_cut and part.every == 1 and source.end is not None:
            video.last_duration = max(1, round(source.end / tick) - begin - video.last_pts)
        if video.last_pts is not None and part.is_cut:
            passengers.stop = (
                video.last_pts + (video.last_duration or 0)
            ) * tick + part.every / source.frame_rate
        video.close()
        notes += [*changes(source, video, drawn=True), *passengers.left_out]


def extended(
    trails: dict[int, deque[tuple[float, float]]], seen: Sequence[Seen]
) -> dict[int, list[tuple[float, float]]]:
    """The ways of those that are seen, one place longer; the others' are forgotten."""
    for target in set(trails) - {one.target for one in seen}:
        del trails[target]
    for one in seen:
        trails.setdefault(one.target, deque(maxlen=TRAIL)).append(one.box.centre)
    return {target: list(way) for target, way in trails.items()}
