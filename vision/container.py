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
import av.codec
import av.error
import av.format
import av.stream
import numpy as np

from ..errors import OptionError, VideoError
from .deinterlace import Deinterlacer
from .hdr import Light
from .joins import Joins
from .look import Look
from .opening import REMEDY, open_input, packets_of
from .pixels import Image, as_uint8
from .upright import Orientation

MOST_THREADS = 4
"""Most threads that decoding or encoding one video takes, unless the caller asks for more."""

# Flags of libswscale. The fast way takes the nearest chroma sample and rounds down: about one level too dark.
_FAST, EXACT = 0x4, 0x2 | 0x2000 | 0x40000  # bicubic; bilinear, full chroma, accurate rounding
_BLANK = 1  # seconds before anything begins, from which on they are a clock's and not the video's
_UNSAID = 2  # "unspecified", of colour tags
_OPAQUE = 255
_WITH_ALPHA = MappingProxyType({"vp8": "libvpx", "vp9": "libvpx-vp9"})
"""Decoders that read the opacity beside the colours, where FFmpeg's own pass it over."""
_MOST_RATE = 1000  # frames a second that a container is believed
_STILL = frozenset({"mjpeg", "png", "bmp", "webp", "tiff"})


_FORMS = MappingProxyType(
    {(False, False): "rgb24", (True, False): "rgb48le", (False, True): "rgba", (True, True): "rgba64le"}
)


class Picture(NamedTuple):
    """A decoded picture, when it is shown (None where nothing says) and for how long (0 likewise), in ticks."""

    image: Image
    pts: int | None
    duration: int


class ContainerSource:
    """A video stream of a file, as `Picture`s in the order of display.

    Args:
        path: a file.
        stream: index of the stream; None for the one that players show.
        deinterlace: weave out the fields of frames that are marked as interlaced.
        deep: hand out uint16 where the stream has more than 8 bits.
        mask: hand out the opacity as grey pictures instead of the colours.

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
    ) -> None:
        self.broken = 0
        self.is_interlaced = self.has_alpha = False
        self._mask = mask
        self._scaling = EXACT if exact_colour else _FAST
        self._path = path
        self._max_pixels = max_pixels
        self._container = open_input(path)
        try:
            self._stream = self._find_stream(stream)
        except (VideoError, OptionError):
            self._container.close()
            raise
        self.stream = int(self._stream.index)
        self._decoder = _decoder_of(self._stream)
        self._decoder.thread_type = "AUTO"
        self._decoder.thread_count = threads or min(MOST_THREADS, os.cpu_count() or 1)
        self.rate = frame_rate(self._stream)
        self.time_base = _fraction(self._stream.time_base) or 1 / self.rate
        self.count = self._find_count()
        self.look = Look.of(self._stream)
        if self._decoder is not self._stream.codec_context:
            self.look = replace(self.look, pixel_format=self.look.pixel_format.replace("yuv", "yuva"))
        self.is_deep = deep and self.look.bits > 8
        self._origin = self._find_origin()
        self.shift = -self._origin * self.time_base
        self._joins = Joins(self.stream, 1 / self.rate)
        self._orientation = Orientation()
        self._fields = Deinterlacer(self.time_base) if deinterlace else None
        self._ends: Fraction | None = None
        self._closed = False

    def pictures(self) -> Iterator[Picture]:
        """Decode lazily: RGB (H, W, 3), upright."""
        for packet in self._packets():
            try:
                frames = self._decoder.decode(packet)
            except (av.error.FFmpegError, ValueError):
                self.broken += 1
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
        told = self._told_duration()
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
        self._orientation = Orientation.of(frame) or self._orientation  # stays until another one is said
        if self._orientation.transposed and not self.look.turned:
            self.look = self.look.on_its_side
        if self._ends is None:
            self.look = replace(self.look, light=Light.of(frame))
            self.has_alpha = self.look.has_alpha and not self._is_opaque(frame)
        pts = None if frame.pts is None else frame.pts - self._origin
        if pts is not None:
            self._ends = (pts + (frame.duration or 0)) * self.time_base
        return Picture(self._orientation.upright(self._to_rgb(frame)), pts, frame.duration or 0)

    def _is_opaque(self, frame: Any) -> bool:
        """Whether the first picture of a GIF shows nothing through; FFmpeg reads all of them with an opacity."""
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
        return as_uint8(frame.to_ndarray(format=form, interpolation=self._scaling, src_colorspace=matrix))

    def _packets(self) -> Iterator[Any]:
        """Every packet that can be read, its times put in a row, then the empty one that flushes the decoder."""
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
                have = ", ".join(f"{one.index} ({_size(one)})" for one in videos) or "none"
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
        """When the pictures should end on the reader's clock, as far as the file tells; None where it does not."""
        stream = self._stream
        if stream.duration:
            return ((stream.start_time or 0) - self._origin + stream.duration) * self.time_base
        written = stream.metadata.get("DURATION", "").split(":")
        if len(written) == 3:
            try:
                hours, minutes, seconds = (Fraction(part) for part in written)
            except ValueError:
                return None
            return 3600 * hours + 60 * minutes + seconds + self.shift
        if len(self._container.streams) == 1 and self._container.duration:
            return Fraction(self._container.duration, av.time_base)
        return None


def _decoder_of(stream: Any) -> Any:
    """The stream's own decoder, or the one that reads its opacity, too."""
    own = stream.codec_context
    name = _WITH_ALPHA.get(own.codec.canonical_name)
    if name is None or stream.metadata.get("alpha_mode", stream.metadata.get("ALPHA_MODE")) != "1":
        return own
    try:
        decoder = av.codec.Codec(name, "r").create("video")
    except (av.error.FFmpegError, ValueError):
        return own
    decoder.extradata = own.extradata
    return decoder


def frame_rate(stream: Any) -> Fraction:
    """Frames a second of PyAV's video ``stream``, on average; 25 where nothing tells."""
    average, *others = (
        _fraction(value) for value in (stream.average_rate, stream.guessed_rate, stream.base_rate)
    )
    nominal = [rate for rate in others if rate and rate <= _MOST_RATE]
    # An average above twice what the stream itself tells is an error of the container (DV, some AVI).
    if average and average <= _MOST_RATE and (not nominal or average <= 2 * max(nominal)):
        return average
    return nominal[0] if nominal else Fraction(25)


def shown_stream(container: Any) -> Any:
    """The video stream that players show: no cover, the default one, the first of those that are left; or None.

    A stream of still pictures (MJPEG, PNG) beside one that moves is a cover, whether it is marked as one or not.
    """
    kinds = av.stream.Disposition
    stills = kinds.attached_pic | kinds.timed_thumbnails
    videos = [one for one in container.streams.video if not one.disposition & stills]
    moving = [one for one in videos if one.codec_context is None or one.codec_context.name not in _STILL]
    return max(moving or videos, key=lambda one: bool(one.disposition & kinds.default), default=None)


def _size(stream: Any) -> str:
    context = stream.codec_context
    return f"{context.width}x{context.height} {context.name}" if context else "unknown"


def _fraction(value: Any) -> Fraction | None:
    """A positive Fraction out of PyAV's rational, or None."""
    fraction = Fraction(value.numerator, value.denominator) if value and value.denominator else Fraction(0)
    return fraction if fraction > 0 else None
