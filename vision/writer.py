"""`VideoWriter`: frames into a video file that appears whole or not at all."""

from __future__ import annotations

import contextlib
import math
import os
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import av
import av.codec.context
import av.error
from av.codec.hwaccel import HWAccel

from ..errors import FrameError, OptionError, VideoWriteError
from .clocks import coarsest
from .container import EXACT, MOST_THREADS
from .encoders import Encoding, hardware_of, hush, remedy_for
from .look import Look
from .opening import reason
from .passengers import Passengers
from .pixels import Image, check_image
from .priority import kept_priority
from .stored import Stored
from .storing import Store, chroma_steps, positive_fraction
from .target import Target

_MOVIES = frozenset({"mp4", "mov", "ipod"})
_GLOBAL_HEADER = av.codec.context.Flags.global_header.value


class VideoWriter:
    """Writes RGB frames as a video: by default H.264 in yuv420p, BT.709; mp4 and mov with the index in front.

    From `Look`s of more than 8 bits it makes H.265 of that depth, and takes frames of uint16.

    ::

        with VideoWriter("out.mp4", 640, 360, rate=30) as video:
            for image in images:
                video.write(image)

    The frames go to a temporary file beside the target, which is renamed to it on `close`. When the ``with``
    block ends in an error, or writing fails, the temporary file is removed and an older target stays. A pipe
    is written as frames come, as Matroska.

    yuv420p holds colour for two by two pixels, so a picture of odd width or height is widened by repeating
    its last column or row: the video is a pixel larger than the frames (`encoded_width`, `encoded_height`).
    yuv422p needs even widths only, yuv444p neither.

    Attributes:
        codec: the encoder.
        pixel_format: of the video, as FFmpeg names it.

    Args:
        path: the target; its suffix (.mp4, .mkv, .mov, .avi, ...) chooses the container. A pipe, or ``-`` for
            standard output, is Matroska. A name with a place for a number (frames/%04d.png) makes images.
        width: pixels across of every frame.
        height: pixels down of every frame.
        rate: frames a second, used where no pts is given.
        encoding: encoder, quality and speed.
        time_base: seconds a tick of the pts given to `write`, for uneven times; by default ``1 / rate``.
        look: pixel format, colour tags and shape of pixels; the encoder's nearest format is taken.
        passengers: streams, chapters and metadata of another video to be copied along, as time goes on.
        exact_colour: convert with exact rounding, as `VideoReader` can.

    Raises:
        OptionError: a size or rate that is not positive, an unknown encoder or suffix, a setting that the
            encoder does not have, or a stream that the container cannot hold.
        VideoWriteError: the target cannot be created.
    """

    def __init__(
        self,
        path: str | Path,
        width: int,
        height: int,
        rate: Fraction | int | float,
        *,
        encoding: Encoding | None = None,
        time_base: Fraction | None = None,
        look: Look | None = None,
        passengers: Passengers | None = None,
        exact_colour: bool = False,
    ) -> None:
        self.path = Path(path)
        self.width, self.height = width, height
        self._passengers = passengers
        self.rate = positive_fraction("rate", rate)
        self.time_base = 1 / self.rate if time_base is None else positive_fraction("time_base", time_base)
        self._is_even = time_base is None
        if width < 1 or height < 1:
            raise OptionError(f"A video of {width} x {height} pixels is impossible", "Give a positive size.")
        wanted, shown = encoding or Encoding(), look or Look()
        self._target = target = Target(self.path)
        try:
            self.codec = wanted.encoder(target.form, target.suffix, shown.bits)
            self.pixel_format = wanted.format_for(self.codec, shown.pixel_format)
        except OptionError:
            target.discard()
            raise
        self.look = shown.stored_as(self.pixel_format)
        """How the pictures are stored."""
        across, down = chroma_steps(self.pixel_format)
        self.encoded_width, self.encoded_height = -(-width // across) * across, -(-height // down) * down
        size = self.encoded_width, self.encoded_height
        self._store = Store(size, self.look, EXACT if exact_colour else None)
        self.last_duration: int | None = None
        """Ticks for which the last frame is shown; set before `close`. By default the container guesses."""
        self._tick, self._least = coarsest(target.form, self.codec, self.rate, self.time_base)
        self._shown: int | None = None  # when the last frame is shown, in ticks of the container
        self.frames_written = 0
        self.fell_together = 0
        """Frames left out because the container counts too coarsely to show them."""
        self._clock = Fraction(0)  # pts of the next frame where none is given
        self.last_pts: int | None = None
        """Pts of the last frame written."""
        self._held: Any = None  # the last packet, until it is known how long it is shown
        self._container: Any = None
        try:
            self._start(wanted)
        except BaseException:  # such as a stream that does not fit, or a signal
            self.discard()
            raise

    def write(
        self,
        image: Image,
        pts: int | None = None,
        mask: Image | None = None,
        stored: Stored | None = None,
    ) -> None:
        """Add one frame, RGB (height, width, 3), at ``pts`` ticks, or one frame after the last.

        ``mask`` is its opacity as a grey picture of the same size and depth; where `keeps_alpha` says so it
        is stored, and without one everything is opaque. ``stored`` is the same picture as another video
        stores it (`Frame.stored`): it is taken as it is where this one stores pictures so.

        Raises:
            FrameError: not RGB, of another size than the video, or the pts does not increase from 0 up.
            VideoWriteError: encoding or the disk failed, or the writer is closed; nothing is left behind.
        """
        if self._container is None:
            raise VideoWriteError(f"The writer of {self.path} is closed", "Open a new writer.")
        if check_image(image, deep=True).shape[:2] != (self.height, self.width):
            raise FrameError(
                f"A frame of {image.shape[1]} x {image.shape[0]} pixels came for a video of "
                f"{self.width} x {self.height}",
                "Resize it first: every frame of a video has one size.",
            )
        stamp = round(self._clock) if pts is None else pts
        if stamp < 0 or (self.last_pts is not None and stamp <= self.last_pts):
            raise FrameError(
                f"A frame with pts {stamp} came after pts {self.last_pts}",
                "Give pts of 0 or more that strictly increase, in ticks of the writer's time_base.",
            )
        shown = round(stamp * self.time_base / self._tick)
        if self._shown is not None and shown < self._shown + self._least:
            self.fell_together += 1
            self.last_pts = stamp
            return
        try:
            frame = self._store.frame(image, mask, stored)
            frame.pts, frame.time_base = shown, self._tick
            for packet in self._stream.encode(frame):
                self._mux(packet)
            if self._passengers is not None:
                self._passengers.ride(self._container, stamp * self.time_base)
        except (av.error.FFmpegError, OSError, ValueError) as error:
            self.discard()
            raise self._target.failed(error, self.frames_written) from None
        self.last_pts, self._shown = stamp, shown
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
                self._mux(packet)
            if self._held is not None:
                if self.last_duration is not None:
                    self._held.duration = max(1, round(self.last_duration * self.time_base / self._tick))
                self._container.mux_one(self._held)
            if self._passengers is not None:
                self._passengers.ride(self._container, None)
            self._container.close()
            self._target.settle()
        except (av.error.FFmpegError, OSError, ValueError) as error:
            self.discard()
            raise self._target.failed(error, self.frames_written) from None
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
        self._target.discard()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.discard()

    @property
    def keeps_alpha(self) -> bool:
        """Whether the video has an opacity."""
        return self.look.has_alpha

    def _mux(self, packet: Any) -> None:
        """Write the packet before, which is shown until this one; times that are even need no such wait."""
        if self._is_even:
            self._container.mux_one(packet)
            return
        held, self._held = self._held, packet
        if held is not None:
            if packet.pts > held.pts:
                held.duration = packet.pts - held.pts
            self._container.mux_one(held)

    def _start(self, wanted: Encoding) -> None:
        """Open the file and the encoder, and write the header, so that bad settings fail here."""
        target, name = self._target, self.codec
        options = wanted.options(name, self.pixel_format)
        for key, value in (self.look.light.options(name) or {}).items() if self.look.light else ():
            options[key] = ":".join(filter(None, (options.get(key), value)))
        size = f"{self.encoded_width}x{self.encoded_height} {self.pixel_format}"
        hush(name)
        self._container = self._opened()
        device = hardware_of(name)
        hardware = {} if device is None else {"hwaccel": HWAccel(device, allow_software_fallback=False)}
        try:
            stream: Any = self._container.add_stream(name, rate=self.rate, options=options, **hardware)
        except ValueError as error:
            best = Encoding().encoder(target.form, target.suffix, 8)
            raise target.refused(
                error,
                f"{target.form} cannot hold video of {name}",
                f"Choose another suffix, or --codec {best}.",
            ) from None
        self._stream = stream
        self._describe(stream, wanted)
        try:
            with kept_priority():
                stream.codec_context.open()
        except (av.error.FFmpegError, ValueError) as error:
            raise OptionError(
                f"The encoder {name} cannot be opened for {size} ({reason(error)})",
                remedy_for(name),
            ) from None
        try:
            if self._passengers is not None:
                self._passengers.board(self._container, stream, target.form)
            self._container.start_encoding()
        except (av.error.FFmpegError, OSError, ValueError) as error:
            carried = [*(self._passengers.seated.values() if self._passengers is not None else ())]
            raise target.refused(
                error,
                f"{target.form} refuses {' with '.join([f'{name} video', *carried])}",
                "Choose another suffix (.mkv holds most), or leave streams out (--without).",
            ) from None

    def _opened(self) -> Any:
        target = self._target
        settings = {}
        if target.form in _MOVIES:
            # The start is kept in movie ticks, by default milliseconds, which would round the first pts.
            ticks = self._tick.denominator
            if self._passengers is not None and ticks * self._passengers.ticks < 2**31:
                ticks = math.lcm(ticks, self._passengers.ticks)
            free = "+use_metadata_tags" if self._passengers and self._passengers.has_free_names else ""
            settings = {"movflags": f"+faststart{free}", "movie_timescale": str(ticks)}

        def opened() -> Any:
            return av.open(target.address, "w", format=target.form, container_options=settings)

        if self._passengers is None or not self._passengers.need_a_tee(opened()):
            return opened()
        place = "".join(f"\\{one}" if one in "\\'[]|: " else one for one in target.address)
        return av.open(f"[f={target.form}]{place}", "w", format="tee")

    def _describe(self, stream: Any, wanted: Encoding) -> None:
        """Say to the encoder what the pictures are."""
        context, look = stream.codec_context, self.look
        stream.width, stream.height = self.encoded_width, self.encoded_height
        stream.pix_fmt = self.pixel_format
        context.time_base = self._tick
        if not self._is_even:
            context.max_b_frames = 0  # reordering uneven times would make the container's duration wrong
        if wanted.bitrate is not None:
            context.bit_rate = wanted.bitrate
        if self._container.format.name == "tee":
            context.flags |= _GLOBAL_HEADER
        if self._target.form in _MOVIES and context.codec.canonical_name == "hevc":
            context.codec_tag = "hvc1"  # what Apple's players ask for
        context.thread_count = min(MOST_THREADS, os.cpu_count() or 1)
        context.color_range, context.colorspace = look.colour_range, look.matrix
        context.color_primaries, context.color_trc = look.primaries, look.transfer
        context.sample_aspect_ratio = look.aspect
