"""`VideoWriter`: frames into a video file that appears whole or not at all."""

from __future__ import annotations

import contextlib
import math
import os
import secrets
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import av
import av.codec
import av.error
import cv2

from ..errors import FrameError, OptionError, VideoWriteError
from .container import EXACT, MOST_THREADS, reason
from .look import Look
from .passengers import Passengers
from .pixels import Image, check_image

_HAVE_CRF = frozenset({"libx264", "libx265", "libvpx", "libvpx-vp9", "libaom-av1", "libsvtav1"})
_HAVE_PRESET = frozenset({"libx264", "libx265"})


class VideoWriter:
    """Writes RGB frames as a video: by default H.264 in yuv420p, BT.709; mp4 and mov with the index in front.

    ::

        with VideoWriter("out.mp4", 640, 360, rate=30) as video:
            for image in images:
                video.write(image)

    The frames go to a temporary file beside the target, which is renamed to it on `close`. When the ``with``
    block ends in an error, or writing fails, the temporary file is removed and an older target stays.

    yuv420p holds colour for two by two pixels, so a picture of odd width or height is widened by repeating
    its last column or row: the video is a pixel larger than the frames (`encoded_width`, `encoded_height`).
    yuv422p needs even widths only, yuv444p neither.
    x264 and x265 run at their preset "veryfast".

    Args:
        path: the target; its suffix (.mp4, .mkv, .mov, .avi, ...) chooses the container.
        width: pixels across of every frame.
        height: pixels down of every frame.
        rate: frames a second, used where no pts is given.
        codec: an FFmpeg video encoder.
        crf: quality, from 0 (best) up; None for an encoder that has no crf.
        time_base: seconds a tick of the pts given to `write`, for uneven times; by default ``1 / rate``.
        look: pixel format, colour tags and shape of pixels.
        passengers: streams, chapters and metadata of another video to be copied along, as time goes on.
        exact_colour: convert with exact rounding, as `VideoReader` can.

    Raises:
        OptionError: a size or rate that is not positive, an unknown encoder, or a crf it does not have.
        VideoWriteError: the target cannot be created, or the container or the encoder refuses the settings.
    """

    def __init__(
        self,
        path: str | Path,
        width: int,
        height: int,
        rate: Fraction | int | float,
        *,
        codec: str = "libx264",
        crf: int | None = 18,
        time_base: Fraction | None = None,
        look: Look | None = None,
        passengers: Passengers | None = None,
        exact_colour: bool = False,
    ) -> None:
        self.path = Path(path)
        self.width, self.height = width, height
        self._look, self._passengers = look or Look(), passengers
        across, down = _chroma_steps(self._look.pixel_format)
        self.encoded_width, self.encoded_height = -(-width // across) * across, -(-height // down) * down
        self._scaling = EXACT if exact_colour else None
        self.last_duration: int | None = None
        """Ticks for which the last frame is shown; set before `close`. By default the container guesses."""
        self.rate = _positive("rate", rate)
        self.time_base = 1 / self.rate if time_base is None else _positive("time_base", time_base)
        self._is_even = time_base is None
        self.frames_written = 0
        if width < 1 or height < 1:
            raise OptionError(f"A video of {width} x {height} pixels is impossible", "Give a positive size.")
        options = _encoder_options(codec, crf)
        if self.path.is_dir() or not self.path.parent.is_dir():
            raise VideoWriteError(
                f"{self.path} cannot be written: "
                + ("it is a folder" if self.path.is_dir() else f"there is no folder {self.path.parent}"),
                "Give a file name in a folder that exists.",
            )
        mark = f".{self.path.stem}.{secrets.token_hex(4)}.part{self.path.suffix}"
        self._temporary = self.path.absolute().with_name(mark)
        self._clock = Fraction(0)  # pts of the next frame where none is given
        self._last_pts: int | None = None
        self._container: Any = None
        try:
            self._start(codec, options)
        except (av.error.FFmpegError, OSError, ValueError) as error:
            self.discard()
            raise VideoWriteError(
                f"{self.path} cannot be started as {width} x {height} {codec} ({reason(error)})",
                "Choose a suffix that can hold the codec (.mp4 for libx264), and an encoder that runs here.",
            ) from None
        except BaseException:  # such as a stream that does not fit, or a signal
            self.discard()
            raise

    def write(self, image: Image, pts: int | None = None) -> None:
        """Add one frame, RGB uint8 (height, width, 3), at ``pts`` ticks, or one frame after the last.

        Raises:
            FrameError: not RGB uint8, of another size than the video, or the pts does not increase from 0 up.
            VideoWriteError: encoding or the disk failed, or the writer is closed; nothing is left behind.
        """
        if self._container is None:
            raise VideoWriteError(f"The writer of {self.path} is closed", "Open a new writer.")
        if check_image(image).shape[:2] != (self.height, self.width):
            raise FrameError(
                f"A frame of {image.shape[1]} x {image.shape[0]} pixels came for a video of "
                f"{self.width} x {self.height}",
                "Resize it first: every frame of a video has one size.",
            )
        stamp = round(self._clock) if pts is None else pts
        if stamp < 0 or (self._last_pts is not None and stamp <= self._last_pts):
            raise FrameError(
                f"A frame with pts {stamp} came after pts {self._last_pts}",
                "Give pts of 0 or more that strictly increase, in ticks of the writer's time_base.",
            )
        odd_height, odd_width = self.encoded_height - self.height, self.encoded_width - self.width
        if odd_height or odd_width:
            image = cv2.copyMakeBorder(image, 0, odd_height, 0, odd_width, cv2.BORDER_REPLICATE)  # type: ignore[assignment]
        try:
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")  # takes strided images too
            frame = frame.reformat(
                format=self._stream.pix_fmt,
                dst_colorspace=self._look.swscale_matrix,
                dst_color_range=self._look.colour_range or 1,
                interpolation=self._scaling,
            )
            frame.pts, frame.time_base = stamp, self.time_base
            self._container.mux(self._stream.encode(frame))
            if self._passengers is not None:
                self._passengers.ride(self._container, stamp * self.time_base)
        except (av.error.FFmpegError, OSError, ValueError) as error:
            self.discard()
            raise self._failed(error) from None
        self._last_pts = stamp
        start = self._clock if pts is None else Fraction(pts)
        self._clock = start + 1 / (self.rate * self.time_base)
        self.frames_written += 1

    def close(self) -> None:
        """Finish the file and put it in place; closing again does nothing.

        Raises:
            VideoWriteError: no frame was written, or the disk failed; nothing is left behind.
        """
        if self._container is None:
            return
        if self.frames_written == 0:
            self.discard()
            raise VideoWriteError(f"No frame was written to {self.path}", "Write at least one frame.")
        try:
            for packet in self._stream.encode(None):
                if packet.pts == self._last_pts and self.last_duration is not None:
                    packet.duration = self.last_duration
                self._container.mux_one(packet)
            if self._passengers is not None:
                self._passengers.ride(self._container, None)
            self._container.close()
            os.replace(self._temporary, self.path)
        except (av.error.FFmpegError, OSError, ValueError) as error:
            self.discard()
            raise self._failed(error) from None
        except BaseException:
            self.discard()
            raise
        self._container = None

    def discard(self) -> None:
        """Give up: remove the temporary file and leave the target as it was."""
        container, self._container = self._container, None
        if container is not None:
            with contextlib.suppress(av.error.FFmpegError, OSError, ValueError):
                container.close()
        self._temporary.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.discard()

    def _start(self, codec: str, options: dict[str, str]) -> None:
        """Open the file and the encoder, and write the header, so that bad settings fail here."""
        settings = {}
        if self.path.suffix.lower() in (".mp4", ".mov", ".m4v"):
            # The start is kept in movie ticks, by default milliseconds, which would round the first pts.
            ticks = self.time_base.denominator
            if self._passengers is not None and ticks * self._passengers.ticks < 2**31:
                ticks = math.lcm(ticks, self._passengers.ticks)
            settings = {"movflags": "+faststart", "movie_timescale": str(ticks)}
        self._container = av.open(f"file:{self._temporary}", "w", container_options=settings)
        stream: Any = self._container.add_stream(codec, rate=self.rate, options=options)
        stream.width, stream.height = self.encoded_width, self.encoded_height
        stream.pix_fmt = self._look.pixel_format
        context = stream.codec_context
        context.time_base = self.time_base
        if not self._is_even:
            context.max_b_frames = 0  # reordering uneven times would make the container's duration wrong
        context.thread_count = min(MOST_THREADS, os.cpu_count() or 1)
        look = self._look
        context.color_range, context.colorspace = look.colour_range, look.matrix
        context.color_primaries, context.color_trc = look.primaries, look.transfer
        context.sample_aspect_ratio = look.aspect
        self._stream = stream
        if self._passengers is not None:
            self._passengers.board(self._container)
        self._container.start_encoding()

    def _failed(self, error: BaseException) -> VideoWriteError:
        return VideoWriteError(
            f"Writing {self.path} failed after {self.frames_written} frames ({reason(error)})",
            "Check the free space and the permissions of its folder.",
        )


def _chroma_steps(pixel_format: str) -> tuple[int, int]:
    """Pixels across and down that share one colour: what width and height must be multiples of."""
    return (1 if "444" in pixel_format else 2), (2 if "420" in pixel_format else 1)


def _positive(name: str, value: Fraction | int | float) -> Fraction:
    """A rate or time base as a fraction that FFmpeg can hold."""
    try:
        fraction = Fraction(value).limit_denominator(1_000_000_000)
    except (ValueError, OverflowError):
        fraction = Fraction(0)
    if not 0 < fraction < 2**31:
        raise OptionError(f"The video's {name} is {value}", "Give a positive number, such as 30.")
    return fraction


def _encoder_options(codec: str, crf: int | None) -> dict[str, str]:
    """The options of a known encoder."""
    try:
        kind = av.codec.Codec(codec, "w").type
    except (av.error.FFmpegError, ValueError):
        kind = None
    if kind != "video":
        raise OptionError(
            f"There is no video encoder {codec!r} here", "Choose one that PyAV lists, such as libx264."
        )
    preset = {"preset": "veryfast"} if codec in _HAVE_PRESET else {}
    if crf is None:
        return preset
    if codec not in _HAVE_CRF:
        raise OptionError(f"The encoder {codec} has no crf, and crf is {crf}", "Pass crf=None with it.")
    if not 0 <= crf <= 63:
        raise OptionError(f"crf is {crf}, and runs from 0 (best) to 63", "Choose about 18.")
    return {"crf": str(crf), **preset}
