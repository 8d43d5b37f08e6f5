"""Decoding of a video file with PyAV, one packet at a time; broken packets are counted and passed over."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType
from typing import Any

import av
import av.error
import av.stream
import numpy as np

from ..errors import VideoError
from .look import Look
from .pixels import Image, as_uint8

MOST_THREADS = 4
"""Most threads that decoding or encoding one video takes, unless the caller asks for more."""

# Video containers only. Playlists (hls, concat, dash) could make FFmpeg open other files and addresses, and
# text, subtitles and raw bytes would pass for a video.
_FORMATS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,flv,asf,ogg,nut,gif,ivf,"
    "h264,hevc,obu,m4v,mjpeg,mxf,dv,wtv,yuv4mpegpipe"
)
# Flags of libswscale. The fast way takes the nearest chroma sample and rounds down: about one level too dark.
_FAST, EXACT = 0x4, 0x2 | 0x2000 | 0x40000  # bicubic; bilinear, full chroma, accurate rounding
_MOST_FAILURES_IN_A_ROW = 1000  # of reading, without one packet between them
INPUT_OPTIONS: Mapping[str, Any] = MappingProxyType(
    {
        "container_options": {"format_whitelist": _FORMATS, "protocol_whitelist": "file"},
        "metadata_errors": "replace",
    }
)
"""How every file is opened."""
_REMEDY = "Give a video file such as mp4, mkv, webm, avi or mov, or a folder of numbered images."


class ContainerSource:
    """The first video stream of a file, as ``(image, pts)`` pairs in the order of display.

    Raises:
        VideoError: the file cannot be opened, is not a video, has no video stream, or is too large.
    """

    def __init__(self, path: Path, *, threads: int | None, max_pixels: int, exact_colour: bool) -> None:
        self.broken = 0
        self._scaling = EXACT if exact_colour else _FAST
        self._path = path
        self._max_pixels = max_pixels
        try:
            self._container = av.open(f"file:{path.absolute()}", **INPUT_OPTIONS)
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise VideoError(f"{path} cannot be opened as a video ({reason(error)})", _REMEDY) from None
        try:
            self._stream = self._find_stream()
        except VideoError:
            self._container.close()
            raise
        self._stream.thread_type = "AUTO"
        self._stream.codec_context.thread_count = threads or min(MOST_THREADS, os.cpu_count() or 1)
        self.rate = self._find_rate()
        self.time_base = _fraction(self._stream.time_base) or 1 / self.rate
        self.count = self._find_count()
        self.look = Look.of(self._stream)
        self._closed = False

    def pictures(self) -> Iterator[tuple[Image, int | None]]:
        """Decode lazily: RGB uint8 (H, W, 3) and the pts in ticks of `time_base`, None where it has none."""
        for packet in self._packets():
            try:
                frames = packet.decode()
            except (av.error.FFmpegError, ValueError):
                self.broken += 1
                continue
            waiting = deque(frames)
            while waiting:
                frame = waiting.popleft()  # let go of each decoded frame before the next is converted
                if frame.is_corrupt or frame.width * frame.height > self._max_pixels:
                    self.broken += 1
                    continue
                yield _to_rgb(frame, self._scaling), frame.pts
                if self._closed:
                    return

    def close(self) -> None:
        """Free the decoder and the file."""
        self._closed = True
        self._container.close()

    def _packets(self) -> Iterator[Any]:
        """Every packet that can be read, then the empty one that flushes the decoder."""
        failures = 0
        packets = self._container.demux(self._stream)
        while failures < _MOST_FAILURES_IN_A_ROW:
            try:
                packet = next(packets)
            except StopIteration:
                return
            except av.error.EOFError:
                return
            except (av.error.FFmpegError, ValueError):
                self.broken += 1
                failures += 1
                packets = self._container.demux(self._stream)
                continue
            failures = 0
            yield packet

    def _find_stream(self) -> Any:
        pictures = av.stream.Disposition.attached_pic
        streams = [one for one in self._container.streams.video if not one.disposition & pictures]
        if not streams:
            kinds = ", ".join(sorted({one.type for one in self._container.streams})) or "none"
            raise VideoError(f"{self._path} has no video stream (its streams: {kinds})", _REMEDY)
        stream = streams[0]
        if stream.codec_context is None:
            raise VideoError(f"{self._path} holds video in a format that no decoder here knows", _REMEDY)
        width, height = stream.codec_context.width, stream.codec_context.height
        if width * height > self._max_pixels:
            raise VideoError(
                f"{self._path} has frames of {width} x {height} pixels, and the limit is {self._max_pixels}",
                "Scale the video down first.",
            )
        return stream

    def _find_rate(self) -> Fraction:
        stream = self._stream
        for value in (stream.average_rate, stream.guessed_rate, stream.base_rate):
            rate = _fraction(value)
            if rate:
                return rate
        return Fraction(25)

    def _find_count(self) -> int | None:
        if self._stream.frames:
            return int(self._stream.frames)
        seconds = Fraction(0)
        if self._stream.duration:
            seconds = self._stream.duration * self.time_base
        elif self._container.duration:
            seconds = Fraction(self._container.duration, av.time_base)
        return round(seconds * self.rate) or None if seconds > 0 else None


def reason(error: BaseException) -> str:
    """FFmpeg's words for an error, without the file name that follows them."""
    words = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return str(words).rstrip(".")


def _to_rgb(frame: Any, scaling: int) -> Image:
    """RGB uint8, upright; PyAV converts any pixel format, 10 and 12 bits included."""
    image = as_uint8(frame.to_ndarray(format="rgb24", interpolation=scaling))
    turns = round(frame.rotation / 90) % 4  # rotation is in degrees, anticlockwise
    return np.ascontiguousarray(np.rot90(image, turns)) if turns else image


def _fraction(value: Any) -> Fraction | None:
    """A positive Fraction out of PyAV's rational, or None."""
    fraction = Fraction(value.numerator, value.denominator) if value and value.denominator else Fraction(0)
    return fraction if fraction > 0 else None
