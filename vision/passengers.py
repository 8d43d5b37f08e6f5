"""`Passengers`: all of a video but its pictures, taken into another file.

Audio, subtitles, attachments, covers, chapters and metadata. Every packet keeps its bytes and its time,
unless the container has another form for text, or sound is to be encoded anew. What cannot be taken along is
named in `Passengers.left_out`.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Collection, Iterator
from errno import EINVAL
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import av.error

from ..errors import OptionError, VideoError
from .folder import is_animation, is_pattern
from .holds import ATTACHED, KEEP_EDITS, attach, cannot_attach, copied_into, needs_a_tee
from .joins import Joins
from .opening import open_input, packets_of
from .seats import COPY, Copied, Seat, Sound, Text, can_be_text, check_sound
from .streams import about, frame_rate, is_cover, shown_stream
from .tags import about_the_content, has_free_names, kept, named
from .timecode import hand_on, timecode_of

KINDS = ("audio", "subtitle", "attachment")
"""Kinds of streams that are taken along, as PyAV calls them."""
_FIRST = 3000  # packets among which a rehearsal looks for the first one of each stream


class Passengers:
    """The other streams of the video at ``path``. `board` before the header, `ride` as time goes on.

    Args:
        path: a video file. Images, and animations of them, have no passengers.
        video: index of the stream of pictures, which stays; None for the one that players show.
        without: kinds to leave out, out of `KINDS`; a cover is an attachment.
        slow: how many times slower the pictures will be shown. Subtitles and chapters are stretched with
            them; audio is left out unless it is encoded anew, because it has to be stretched.
        start: when the first picture is shown, in seconds: times are stretched away from there.
        audio: ``copy``, or the encoder of all sound.
        shift: seconds to add to every time of the source, as `VideoReader.shift` says.
        begin: when the target begins, in seconds of the source as shifted: what ends before is left behind.
        fitting: leave out, with a note, what the container cannot hold, instead of failing.
        only: indices of the only streams to take, for finding the one that does not fit.
        briefly: take the first packet of each stream and no more, for a rehearsal.

    Raises:
        OptionError: there is no such kind, or no such encoder.
        VideoError: the file cannot be opened.
    """

    def __init__(
        self,
        path: Path,
        *,
        video: int | None = None,
        without: Collection[str] = (),
        slow: Fraction = Fraction(1),
        start: Fraction = Fraction(0),
        shift: Fraction = Fraction(0),
        audio: str = COPY,
        begin: Fraction = Fraction(0),
        fitting: bool = False,
        only: Collection[int] | None = None,
        briefly: bool = False,
    ) -> None:
        unknown = sorted(set(without) - set(KINDS))
        if unknown:
            raise OptionError(
                f"There is no kind of stream {unknown[0]!r}", f"Choose from {', '.join(KINDS)}."
            )
        if audio != COPY:
            check_sound(audio)
        self.path, self._audio = path, audio
        self.left_out: list[str] = []
        """What is not taken along, and why; for people."""
        self.broken = 0
        """Packets that were damaged, and are missing in the target."""
        self._without, self._slow, self._start, self._shift = set(without), slow, start, shift - begin
        self._is_cut = begin > 0
        self.stop: Fraction | None = None
        """When the target ends, in its seconds: what begins later is left behind. None: with the source."""
        self._only, self._briefly, self._fitting = only, briefly, fitting
        self._source: Any = None
        self._video: Any = None
        self._packets: Iterator[Any] = iter(())
        self._next: Any = None
        self._part = 0  # of the file, to which the next packet belongs
        self._seats: dict[int, Seat] = {}  # by the index of a stream in the source
        self._latest: dict[int, tuple[int, Fraction]] = {}
        self._trims = False
        if path.is_dir() or is_pattern(path) or is_animation(path):
            return
        self._source = open_input(path)
        videos = self._source.streams.video
        wanted = [one for one in videos if one.index == video] or [shown_stream(self._source)]
        self._video = wanted[0]
        if self._video is None:
            raise VideoError(f"{path} has no video stream", "Give a file with pictures.")

    @property
    def num_streams(self) -> int:
        """How many streams were taken along, attachments not counted."""
        return len(self._seats)

    @property
    def seated(self) -> dict[int, str]:
        """What is taken along: the index of each stream in the source, and what it is."""
        return {index: about(self._source.streams[index]) for index in self._seats}

    @property
    def ticks(self) -> int:
        """Ticks a second in which the times of all audio are whole: what a clock has to count for them."""
        if self._source is None:
            return 1
        return math.lcm(*(Fraction(one.time_base).denominator for one in self._source.streams.audio))

    @property
    def has_free_names(self) -> bool:
        """Whether the file has tags that MP4 and MOV only hold when they are told to."""
        return self._source is not None and has_free_names(self._source.metadata)

    def need_a_tee(self, target: Any) -> bool:
        """Whether only a way around FFmpeg's list lets some stream in; see `holds.needs_a_tee`."""
        if self._source is None:
            return False
        kinds = {"audio", "subtitle"} if self._audio == COPY else {"subtitle"}
        taken = [one for one in self._source.streams if one.type in kinds - self._without]
        form = target.format.name
        streams = [one for one in taken if not can_be_text(one, form)]
        return needs_a_tee(target, self._source.format.name.split(","), streams)

    def board(self, target: Any, pictures: Any, form: str) -> None:
        """Declare streams, attachments, chapters and metadata in a container that is open for writing.

        Args:
            target: the container; through a tee, where `need_a_tee` said so.
            pictures: its stream of pictures, which is given title, language and disposition.
            form: the name of the container's format.

        Raises:
            OptionError: the container cannot hold one of the streams as it is.
        """
        if self._source is None:
            return
        if form == "image2":
            self.left_out += [
                f"{about(one)}: images hold pictures only" for one in self._source.streams.audio
            ]
            return
        pictures.metadata.update(named(about_the_content(self._video.metadata), form))
        pictures.disposition = self._video.disposition
        self._trims = form not in KEEP_EDITS
        for stream in self._source.streams:
            if stream is not self._video and self._is_taken(stream, form):
                self._seat(stream, target, form)
        target.metadata.update(kept(self._source.metadata))
        code = timecode_of(self._video, self._source, *self._source.streams.data)
        goes_on = self._slow == 1 and not self._is_cut
        if code is not None and not (goes_on and hand_on(code, self._video, pictures, target, form)):
            self.left_out.append(f"the timecode {code}: it counts other frames")
        chapters = self._source.chapters()
        if chapters and target.format.name == "tee":
            self.left_out.append(
                "chapters: they cannot be written beside sound that .mkv holds as Windows does"
            )
        elif chapters:
            target.set_chapters([self._chapter(chapter) for chapter in chapters])
        self._packets = self._demux()
        self._next = next(self._packets, None)

    def ride(self, target: Any, until: Fraction | None) -> None:
        """Copy what is due by ``until``, in seconds of the target; None for all that is left."""
        while self._next is not None:
            packet = self._next
            stamp = packet.dts if packet.dts is not None else packet.pts
            if until is not None and self._time(stamp * packet.time_base) > until:
                return
            due = self._time(stamp * packet.time_base)
            if until is None and self.stop is not None and due >= self.stop:
                break
            if self._is_cut and due + (packet.duration or 0) * packet.time_base <= 0:
                self._next = next(self._packets, None)
                continue
            seat = self._seats[packet.stream_index]
            if not seat.is_encoded:
                self._restamp(packet)
            if not self._overlaps(packet):
                self._carry(seat.feed(packet, due), target)
            self._next = next(self._packets, None)
        if until is None:
            for seat in self._seats.values():
                self._carry(seat.flush(), target)

    def _carry(self, packets: Iterator[Any], target: Any) -> None:
        """Write what becomes of a packet; what is damaged, such as sound without a header, is counted."""
        while True:
            try:
                packet = next(packets, None)
            except (av.error.FFmpegError, ValueError):
                self.broken += 1
                return
            if packet is None:
                return
            try:
                target.mux_one(packet)
            except av.error.FFmpegError as error:
                if not isinstance(error, av.error.InvalidDataError) and error.errno != EINVAL:
                    raise
                self.broken += 1

    def _overlaps(self, packet: Any) -> bool:
        """Whether sound begins before the last of the part before: where parts meet, the first stays."""
        stamp = packet.dts if packet.dts is not None else packet.pts
        time, (part, last) = stamp * packet.time_base, self._latest.get(packet.stream_index, (0, Fraction(0)))
        if self._part > part and time <= last:
            return bool(self._source.streams[packet.stream_index].type == "audio")
        self._latest[packet.stream_index] = self._part, time
        return False

    def close(self) -> None:
        """Free the file. Closing again does nothing."""
        source, self._source, self._next = self._source, None, None
        if source is not None:
            source.close()

    def _is_taken(self, stream: Any, form: str) -> bool:
        what = f"{stream.type} stream {stream.index}"
        kind = "attachment" if is_cover(stream) else stream.type
        if self._only is not None and stream.index not in self._only:
            return False
        if stream.type == "audio" and self._slow != 1 and self._audio == COPY:
            self.left_out.append(f"{what}: it cannot be stretched without encoding it again (--audio aac)")
        elif kind in self._without:
            self.left_out.append(f"{what}: as asked for")
        elif stream.type == "data" and (self._source.chapters() or timecode_of(stream)):
            return False  # in MP4 chapters and timecodes are such streams, and are written as what they are
        elif kind not in KINDS:  # timecodes, telemetry, second videos
            self.left_out.append(f"{what}: only audio, subtitles, attachments and covers are copied")
        elif kind == "attachment" and (missing := cannot_attach(stream, form)):
            self.left_out.append(missing)
        else:
            return True
        return False

    def _seat(self, stream: Any, target: Any, form: str) -> None:
        if stream.type == "attachment" or (stream.type == "video" and form in ATTACHED):
            if not attach(stream, target, self._source):
                self.left_out.append(f"cover {stream.index}: its picture cannot be read")
        else:
            try:
                seat = self._seat_of(stream, target, form)
            except OptionError as error:
                if not self._fitting:
                    raise
                self.left_out.append(f"{error.problem}: it is left out")
                return
            seat.stream.metadata.update(named(kept(stream.metadata), form))
            seat.stream.disposition = stream.disposition
            self._seats[stream.index] = seat

    def _seat_of(self, stream: Any, target: Any, form: str) -> Seat:
        """How a stream travels. Raises OptionError where it cannot."""
        if stream.type == "audio" and self._audio != COPY and stream.codec_context is not None:
            return Sound(stream, target, self._audio, self._slow)
        try:
            return Copied(copied_into(target, stream, form), form)
        except (ValueError, AttributeError, av.error.FFmpegError):
            if can_be_text(stream, form):
                seat = Text(stream, target, form)
                self.left_out.append(f"{about(stream)}: turned into {seat.stream.codec_context.name}")
                return seat
            anew = "have it encoded (--audio aac), " if stream.type == "audio" else ""
            raise OptionError(
                f"{self.path} has {about(stream)}, which {form} cannot hold as it is",
                f"Keep to the container of the source (.mkv holds most), {anew}or leave such streams out: "
                f"--without {stream.type}.",
            ) from None

    def _demux(self) -> Iterator[Any]:
        """The packets of all seats, their times in a row: each part goes on where the last ends."""
        if not self._seats:
            return
        joins = Joins(self._video.index, 1 / frame_rate(self._video))
        streams = [self._video, *(self._source.streams[index] for index in self._seats)]
        waiting: deque[tuple[int, Any]] = deque()
        seen: set[int] = set()
        for count, packet in enumerate(packets_of(self._source, streams, lambda: None)):
            if self._briefly and (len(seen) == len(self._seats) or count > _FIRST):
                break
            if packet.size and packet.dts is None and packet.pts is None and is_cover(packet.stream):
                packet.pts = packet.dts = 0  # a cover has no time
            if not packet.size or (packet.dts is None and packet.pts is None):
                continue
            part = joins.part(packet)
            if packet.stream_index in self._seats and not (self._trims and packet.is_discard):
                if not (self._briefly and packet.stream_index in seen):
                    waiting.append((part, packet))
                seen.add(packet.stream_index)
            while waiting and waiting[0][0] < len(joins.offsets):
                self._part, packet = waiting.popleft()
                yield _moved(packet, joins.offsets[self._part])
        for self._part, packet in waiting:
            yield _moved(packet, joins.offsets[-1])

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
        """A time of the source on the target's clock. What is stretched starts at 0 at the earliest."""
        time = self._start + self._slow * (seconds + self._shift - self._start)
        return time if self._slow == 1 else max(time, Fraction(0))

    def _chapter(self, chapter: Any) -> Any:
        tick = chapter["time_base"]
        times = {name: max(self._time(chapter[name] * tick), Fraction(0)) for name in ("start", "end")}
        return {**chapter, **{name: round(time / tick) for name, time in times.items()}}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _moved(packet: Any, by: Fraction) -> Any:
    ticks = round(by / packet.time_base)
    if ticks:
        packet.pts, packet.dts = (
            None if stamp is None else stamp + ticks for stamp in (packet.pts, packet.dts)
        )
    return packet
