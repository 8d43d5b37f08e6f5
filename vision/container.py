"""Decoding of a video file with PyAV, one packet at a time; broken packets are counted and passed over."""

from __future__ import annotations

import math
import os
from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import av
import av.error
import av.format
import numpy as np
from av.video.reformatter import VideoReformatter

from ..errors import OptionError, VideoError
from .deinterlace import Deinterlacer
from .extras import Extras
from .hdr import Light
from .joins import Joins
from .look import Look
from .opening import REMEDY, open_input, packets_of
from .pixels import Image, as_uint8
from .side_data import side_data_of
from .stored import Stored
from .streams import decoder_of, frame_rate, positive, shown_stream, size_of
from .upright import Orientation

MOST_THREADS = 4
"""Most threads that decoding or encoding one video takes, unless the caller asks for more."""

# Flags of libswscale. The fast way takes the nearest chroma sample and rounds down: about one level too dark.
# Both are bicubic: bilinear with full chroma gives wrong colours in 16 bits where chroma has fewer rows.
_FAST, EXACT = 0x4, 0x4 | 0x2000 | 0x40000  # the latter: full chroma, accurate rounding
_BLANK = 1  # seconds before anything begins, from which on they are a clock's and not the video's
_UNSAID = 2  # "unspecified", of colour tags
_OPAQUE = 255


_FORMS = MappingProxyType(
    {(False, False): "rgb24", (True, False): "rgb48le", (False, True): "rgba", (True, True): "rgba64le"}
)


class Picture(NamedTuple):
    """A decoded picture, when it is shown (None if unknown) and for how long (0 if unknown), in ticks."""

    image: Image
    pts: int | None
    duration: int
    stored: Stored | None = None


class ContainerSource:
    """A video stream of a file, as `Picture`s in the order of display.

    Args:
        path: a file.
        stream: index of the stream; None for the one that players show.
        deinterlace: weave out the fields of frames that are marked as interlaced.
        deep: hand out uint16 where the stream has more than 8 bits.
        mask: hand out the opacity as grey pictures instead of the colours.
        keep: hand out each picture as it is stored, too, where it can be stored again so.

    Raises:
        VideoError: the file cannot be opened, is not a video, has no video stream, or is too large.
        OptionError: the stream asked for is no video stream.
    """

    def __init__(
        self,
        path: Path,
        *,
        threads: int | None,
        max_pixels: int,
        exact_colour: bool,
        stream: int | None = None,
        deinterlace: bool = False,
        deep: bool = False,
        mask: bool = False,
        keep: bool = False,
    ) -> None:
        self.broken, self._keep = 0, keep
        self.is_interlaced = self.has_alpha = False
        self.is_finely_coloured = True  # as far as its look says
        self._mask = mask
        self._scaling = EXACT if exact_colour else _FAST
        self._scaler = VideoReformatter()
        self._path = path
        self._max_pixels = max_pixels
        self._container = open_input(path)
        try:
            self._stream = self._find_stream(stream)
        except (VideoError, OptionError):
            self._container.close()
            raise
        self.stream = int(self._stream.index)
        self._decoder = decoder_of(self._stream)
        self._decoder.thread_type = "AUTO"
        self._decoder.thread_count = threads or min(MOST_THREADS, os.cpu_count() or 1)
        self.rate = frame_rate(self._stream)
        self.time_base = positive(self._stream.time_base) or 1 / self.rate
        self.count = self._find_count()
        self.look = Look.of(self._stream)
        if self._decoder is not self._stream.codec_context:
            self.look = replace(self.look, pixel_format=self.look.pixel_format.replace("yuv", "yuva"))
        self._wants_depth = deep
        self.is_deep = deep and self.look.bits > 8
        self._origin = self._find_origin()
        self.shift = -self._origin * self.time_base
        self._joins = Joins(self.stream, 1 / self.rate)
        self.extras = Extras()
        self._orientation = Orientation()
        self._fields = Deinterlacer(self.time_base) if deinterlace else None
        self._ends: Fraction | None = None
        self._last: Fraction | None = None  # when the last picture is shown
        self._handed = 0
        self._delay: int | None = None  # of the decoder, in ticks
        self._is_known = self._is_read = self._closed = False

    def pictures(self) -> Iterator[Picture]:
        """Decode lazily: RGB (H, W, 3), upright."""
        for packet in self._packets():
            try:
                frames = self._decoder.decode(packet)
            except (av.error.FFmpegError, ValueError):
                self.broken += packet.size > 0  # one without a byte says that the picture stays
                continue
            waiting = deque(frames)
            while waiting:
                frame = waiting.popleft()  # let go of each decoded frame before the next is converted
                if frame.is_corrupt or frame.width * frame.height > self._max_pixels:
                    self.broken += 1
                    continue
                self.is_interlaced |= bool(frame.interlaced_frame)
                for ready in (frame,) if self._fields is None else self._fields.push(frame):
                    yield self._picture(ready)
                    if self._closed:
                        return
        for ready in () if self._fields is None else self._fields.flush():
            yield self._picture(ready)
        self._is_read = True

    @property
    def told_end(self) -> Fraction | None:
        """When the last picture ends by what the file tells of all of them, where that is surer than its own.

        MP4 has the times between packets in the order of decoding: where pictures are reordered, they are not
        how long each is shown. All of them have to be there for the sum to be believed.
        """
        is_whole = self._is_read and not self.broken and self._handed == self._stream.frames
        if not is_whole or not self._decoder.has_b_frames or self._last is None:
            return None
        told, whole = self._told_duration(), self._container.duration
        if told is None or told <= self._last:
            return None
        return told if whole is None or told <= Fraction(whole, av.time_base) + 1 / self.rate else None

    @property
    def notes(self) -> list[str]:
        """What is out of the ordinary so far, a sentence each."""
        at = ", ".join(
            f"{float(place):.3f} s" for place in (one + self.shift for one in self._joins.jumps_back[:3])
        )
        found = []
        if self._joins.jumps_back:
            more = len(self._joins.jumps_back) - 3
            at += f" and {more} more" if more > 0 else ""
            found.append(f"the times of the file start again at {at}: what follows goes on there")
        found += [
            f"times jump ahead by {float(end - start):.1f} s at {float(start + self.shift):.3f} s"
            for start, end in self._joins.gaps[:3]
        ]
        told = self._told_duration() if self._is_read else None
        if told is not None and self._ends is not None and told - self._ends > max(4 / self.rate, told / 50):
            found.append(
                f"the file ends early: it tells of {float(told):.2f} s, and its pictures end at "
                f"{float(self._ends):.2f} s"
            )
        return found

    def close(self) -> None:
        """Free the decoder and the file."""
        self._closed = True
        self._container.close()

    def _picture(self, frame: Any) -> Picture:
        beside = side_data_of(frame)
        self.extras.look_at(beside)
        self._orientation = Orientation.of(beside) or self._orientation  # stays until another one is said
        if self._orientation.transposed and not self.look.turned:
            self.look = self.look.on_its_side
        if not self._is_known:
            self._is_known = True
            self.look = replace(self.look.as_seen_in(frame), light=Light.of(beside))
            self.is_deep = self._wants_depth and self.look.bits > 8
            self.has_alpha = self.look.has_alpha and not self._is_opaque(frame)
        pts = None if frame.pts is None else frame.pts - self._origin
        if self._container.format.name == "avi":  # counts pictures as they are decoded, not as they are shown
            self._delay = frame.dts if self._delay is None else self._delay
            pts = None if frame.dts is None or self._delay is None else frame.dts - self._delay
        if pts is not None:
            self._last = pts * self.time_base
            self._ends = self._last + (frame.duration or 0) * self.time_base
        self._handed += 1
        stored = Stored.of(frame) if self._keep and self._orientation == Orientation() else None
        return Picture(self._orientation.upright(self._to_rgb(frame)), pts, frame.duration or 0, stored)

    def _is_opaque(self, frame: Any) -> bool:
        """Whether the first picture of a GIF is opaque; FFmpeg reads all of them with an opacity."""
        if self._stream.codec_context.name != "gif":
            return False
        return bool(frame.to_ndarray(format="rgba")[..., 3].min() == _OPAQUE)

    def _to_rgb(self, frame: Any) -> Image:
        """RGB uint8 or uint16; PyAV converts any pixel format."""
        matrix = self.look.swscale_matrix if frame.colorspace == _UNSAID else None
        form = _FORMS[self.is_deep, self._mask]
        if self._mask:
            opacity = frame.to_ndarray(format=form)[..., 3:]
            return as_uint8(np.repeat(opacity, 3, axis=2))
        scaled = self._scaler.reformat(
            frame, format=form, interpolation=self._scaling, src_colorspace=matrix
        )  # a frame's own scaler would leave its threads behind until the next collection
        return as_uint8(scaled.to_ndarray())

    def _packets(self) -> Iterator[Any]:
        """Every packet that can be read, its times in a row, then the empty one that flushes the decoder."""
        for packet in packets_of(self._container, [self._stream], self._count_broken):
            moved = round(self._joins.offsets[self._joins.part(packet)] / self.time_base)
            if moved:
                packet.pts, packet.dts = (
                    None if stamp is None else stamp + moved for stamp in (packet.pts, packet.dts)
                )
            yield packet

    def _count_broken(self) -> None:
        self.broken += 1

    def _find_stream(self, wanted: int | None) -> Any:
        videos = self._container.streams.video
        if wanted is not None:
            stream = next((one for one in videos if one.index == wanted), None)
            if stream is None:
                have = ", ".join(f"{one.index} ({size_of(one)})" for one in videos) or "none"
                raise OptionError(
                    f"{self._path} has no video stream {wanted}", f"Choose one of its video streams: {have}."
                )
        else:
            stream = shown_stream(self._container)
        if stream is None:
            kinds = ", ".join(sorted({one.type for one in self._container.streams})) or "none"
            raise VideoError(f"{self._path} has no video stream (its streams: {kinds})", REMEDY)
        if stream.codec_context is None:
            raise VideoError(f"{self._path} holds video in a format that no decoder here knows", REMEDY)
        width, height = stream.codec_context.width, stream.codec_context.height
        if width * height > self._max_pixels:
            raise VideoError(
                f"{self._path} has frames of {width} x {height} pixels, and the limit is {self._max_pixels}",
                "Scale the video down first.",
            )
        return stream

    def _find_count(self) -> int | None:
        if self._stream.frames:
            return int(self._stream.frames)
        seconds = Fraction(0)
        if self._stream.duration:
            seconds = self._stream.duration * self.time_base
        elif self._container.duration:
            seconds = Fraction(self._container.duration, av.time_base)
        return round(seconds * self.rate) or None if seconds > 0 else None

    def _find_origin(self) -> int:
        """Where the file's clock starts, in ticks: of transport streams anywhere, of most others at 0."""
        start = self._container.start_time
        if start is None:
            return 0
        seconds = Fraction(start, av.time_base)
        restarts = self._container.format.flags & av.format.Flags.ts_discont.value
        arbitrary = restarts or seconds >= _BLANK
        return math.floor(seconds / self.time_base) if arbitrary and seconds > 0 else 0

    def _told_duration(self) -> Fraction | None:
        """When the pictures should end on the reader's clock; None where the file does not tell."""
        stream = self._stream
        if stream.duration:
            ticks = int((stream.start_time or 0) - self._origin + stream.duration)
            return ticks * self.time_base
        written = stream.metadata.get("DURATION", "").split(":")
        if len(written) == 3:
            try:
                hours, minutes, seconds = (Fraction(part) for part in written)
            except ValueError:
                return None
            shift: Fraction = self.shift
            return 3600 * hours + 60 * minutes + seconds + shift
        if len(self._container.streams) == 1 and self._container.duration:
            return Fraction(self._container.duration, av.time_base)
        return None
