"""`Passengers`: all of a video but its pictures, copied into another file as it is, nothing encoded again.

Audio, subtitles, attachments, chapters and metadata; every packet keeps its bytes and its time. What cannot
be taken along is named in `Passengers.left_out`.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import av
import av.error
import av.stream

from ..errors import OptionError, VideoError
from .container import INPUT_OPTIONS, reason

KINDS = ("audio", "subtitle", "attachment")
"""Kinds of streams that are taken along, as PyAV calls them."""
_OF_THE_FILE = frozenset({"major_brand", "minor_version", "compatible_brands", "encoder", "duration"})


class Passengers:
    """The other streams of the video at ``path``. `board` before the header, `ride` as time goes on.

    Args:
        path: a video file. A folder of images has no passengers.
        without: kinds to leave out, out of `KINDS`.
        slow: how many times slower the pictures will be shown. Subtitles and chapters are stretched with
            them; audio is left out, because it would have to be made anew.
        start: when the first picture is shown, in seconds: times are stretched away from there.
        shift: seconds to add to every time of the source, as `VideoReader.shift` says.

    Raises:
        OptionError: there is no such kind.
        VideoError: the file cannot be opened.
    """

    def __init__(
        self,
        path: Path,
        *,
        without: Collection[str] = (),
        slow: Fraction = Fraction(1),
        start: Fraction = Fraction(0),
        shift: Fraction = Fraction(0),
    ) -> None:
        unknown = sorted(set(without) - set(KINDS))
        if unknown:
            raise OptionError(
                f"There is no kind of stream {unknown[0]!r}", f"Choose from {', '.join(KINDS)}."
            )
        self.path = path
        self.left_out: list[str] = []
        """What is not taken along, and why; for people."""
        self._without, self._slow, self._start, self._shift = set(without), slow, start, shift
        self._source: Any = None
        self._packets: Iterator[Any] = iter(())
        self._next: Any = None
        self._seats: dict[int, Any] = {}  # index of a stream in the source -> its stream in the target
        if path.is_dir():
            return
        try:
            self._source = av.open(f"file:{path.absolute()}", **INPUT_OPTIONS)
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise VideoError(f"{path} cannot be opened ({reason(error)})", "Check the file.") from None

    @property
    def num_streams(self) -> int:
        """How many streams were taken along, attachments not counted."""
        return len(self._seats)

    @property
    def ticks(self) -> int:
        """Ticks a second in which the times of all audio are whole: what a clock has to count for them."""
        if self._source is None:
            return 1
        return math.lcm(*(Fraction(one.time_base).denominator for one in self._source.streams.audio))

    def board(self, target: Any) -> None:
        """Declare streams, attachments, chapters and metadata in a container that is open for writing.

        Raises:
            OptionError: the container cannot hold one of the streams as it is.
        """
        if self._source is None:
            return
        covers = av.stream.Disposition.attached_pic
        pictures = next((one for one in self._source.streams.video if not one.disposition & covers), None)
        for stream in self._source.streams:
            if stream is not pictures and self._is_taken(stream):
                self._seat(stream, target)
        target.metadata.update(_kept(self._source.metadata))
        chapters = self._source.chapters()
        if chapters:
            target.set_chapters([self._chapter(chapter) for chapter in chapters])
        self._packets = self._demux([self._source.streams[index] for index in self._seats])
        self._next = next(self._packets, None)

    def ride(self, target: Any, until: Fraction | None) -> None:
        """Copy what is due by ``until``, in seconds of the target; None for all that is left."""
        while self._next is not None:
            packet = self._next
            stamp = packet.dts if packet.dts is not None else packet.pts
            if until is not None and self._time(stamp * packet.time_base) > until:
                return
            self._restamp(packet)
            packet.stream = self._seats[packet.stream_index]
            target.mux_one(packet)
            self._next = next(self._packets, None)

    def close(self) -> None:
        """Free the file. Closing again does nothing."""
        source, self._source, self._next = self._source, None, None
        if source is not None:
            source.close()

    def _is_taken(self, stream: Any) -> bool:
        what = f"{stream.type} stream {stream.index}"
        if stream.type == "audio" and self._slow != 1:
            self.left_out.append(f"{what}: it cannot be stretched without encoding it again")
        elif stream.type in self._without:
            self.left_out.append(f"{what}: as asked for")
        elif stream.type == "data" and self._source.chapters():
            return False  # in MP4 chapters are such a stream, and they are written as chapters
        elif stream.type not in KINDS:  # timecodes, telemetry, covers, second videos
            self.left_out.append(f"{what}: only audio, subtitles and attachments are copied")
        else:
            return True
        return False

    def _seat(self, stream: Any, target: Any) -> None:
        if stream.type == "attachment":
            if target.format.name == "matroska":
                mimetype = stream.mimetype or "application/octet-stream"
                target.add_attachment(stream.name or "attachment", mimetype, stream.data)
            else:
                self.left_out.append(f"attachment {stream.name}: only .mkv holds attachments")
            return
        codec = stream.codec_context.codec.canonical_name if stream.codec_context else "of an unknown codec"
        if codec not in target.supported_codecs:
            raise OptionError(
                f"{self.path} has a {stream.type} stream ({codec}), which such a file cannot hold as it is",
                f"Keep to the container of the source, or leave such streams out: --without {stream.type}.",
            )
        seat = target.add_stream_from_template(stream)
        seat.metadata.update(_kept(stream.metadata))
        seat.disposition = stream.disposition
        self._seats[stream.index] = seat

    def _demux(self, streams: list[Any]) -> Iterator[Any]:
        if not streams:
            return
        packets = self._source.demux(streams)
        while True:
            try:
                packet = next(packets)
            except (StopIteration, av.error.EOFError):
                return
            if packet.size and (packet.dts is not None or packet.pts is not None):
                yield packet

    def _restamp(self, packet: Any) -> None:
        """Move a packet on the clock; exact, but for stretching by a fraction, which rounds to a tick."""
        if not self._shift and self._slow == 1:
            return
        for name in ("pts", "dts"):
            stamp = getattr(packet, name)
            if stamp is not None:
                setattr(packet, name, round(self._time(stamp * packet.time_base) / packet.time_base))
        if packet.duration:
            packet.duration = round(packet.duration * self._slow)

    def _time(self, seconds: Fraction) -> Fraction:
        """A time of the source on the target's clock."""
        return self._start + self._slow * (seconds + self._shift - self._start)

    def _chapter(self, chapter: Any) -> Any:
        tick = chapter["time_base"]
        times = {name: self._time(chapter[name] * tick) for name in ("start", "end")}
        return {**chapter, **{name: round(time / tick) for name, time in times.items()}}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _kept(metadata: dict[str, str]) -> dict[str, str]:
    """Metadata about the content; what is about the old file (brands, encoder, duration) is left behind."""
    return {key: value for key, value in metadata.items() if key.lower() not in _OF_THE_FILE}
