"""A whole video file interpolated into another one; sound, subtitles and the rest go along as they are."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import chain
from pathlib import Path

from ...errors import VideoError
from ...vision import Frame, Look, Passengers, VideoReader, VideoWriter
from ...wire import Made
from ..session import Session
from .options import InterpolationOptions
from .memory import Counts

_FINEST = 10**9  # ticks a second that containers can count


@dataclass(frozen=True)
class OutputOptions:
    """How the target is written.

    Attributes:
        codec: an FFmpeg video encoder.
        crf: its quality, from 0 (best) up; None for an encoder that has no crf.
        without: kinds of streams not to copy, out of ``audio``, ``subtitle`` and ``attachment``.
    """

    codec: str = "libx264"
    crf: int | None = 18
    without: Collection[str] = ()


@dataclass
class VideoRun:
    """What an interpolated video came to.

    Attributes:
        rate: frames a second of the target, on average.
        counts: of the session.
        scale, tiles: how the model saw a frame.
        broken_packets: of the source, passed over.
        streams: copied beside the pictures.
        notes: what is not in the target as it was in the source, one sentence each.
    """

    rate: Fraction
    counts: Counts = field(default_factory=Counts)
    scale: float = 1.0
    tiles: int = 1
    broken_packets: int = 0
    streams: int = 0
    notes: list[str] = field(default_factory=list)


def expected_frames(reader: VideoReader, options: InterpolationOptions) -> int | None:
    """How many frames a video will have, as far as its container tells."""
    if reader.frame_count is None:
        return None
    if options.fps is not None:
        return round(reader.frame_count / reader.frame_rate * options.slow_motion * options.fps)
    return max(1, round((reader.frame_count - 1) * options.steps) + 1)


def interpolate_video(
    session: Session[Made],
    reader: VideoReader,
    target: Path,
    output: OutputOptions,
    on_frame: Callable[[], None] = lambda: None,
    lanes: int = 1,
) -> VideoRun:
    """Interpolates all of a video into the file ``target``, which appears whole or not at all.

    Args:
        session: a new one; its options say what to make. It is flushed.
        reader: a freshly opened video.
        target: the suffix chooses the container.
        output: codec, quality, and what not to copy.
        on_frame: called after each frame that was written.
        lanes: frames that are made side by side, for cores that a model call leaves idle.

    Raises:
        VideoError: the video has a high dynamic range, which 8 bits cannot hold.
        FrameError: the size of the frames changes.
        OptionError: the container cannot hold one of the streams, or there is no such encoder or scale.
        StepError: the model failed.
        VideoWriteError: the target cannot be written, or the disk is full.
    """
    options: InterpolationOptions = session.memory.options
    check_range(reader.look, reader.path)
    run = VideoRun(options.fps or reader.frame_rate * options.steps / options.slow_motion)
    frames = iter(reader)
    first = next(frames)
    start = first.pts * first.time_base
    with Passengers(
        reader.path, without=output.without, slow=options.slow_motion, start=start, shift=reader.shift
    ) as passengers:
        shown = session.ahead(chain([first], frames), lanes)
        opening = next(shown)
        tick = max(opening.time_base, Fraction(1, _FINEST))
        with VideoWriter(
            target,
            reader.width,
            reader.height,
            run.rate,
            codec=output.codec,
            crf=output.crf,
            time_base=tick,
            look=reader.look.in_eight_bits,
            passengers=passengers,
            exact_colour=True,
        ) as writer:
            end = _write(writer, opening, shown, on_frame)
            ends = session.memory.ends
            if ends is not None:
                writer.last_duration = max(1, round((ends - end) / tick))
        run.streams = passengers.num_streams
        run.notes = [*_changes(reader, writer), *passengers.left_out]
    memory = session.memory
    run.counts, run.broken_packets = memory.counts, reader.broken_packets
    run.scale, run.tiles = memory.scale or 1.0, memory.num_tiles or 1
    return run


def check_range(look: Look, path: Path) -> None:
    """Raises VideoError for a video of high dynamic range."""
    if look.hdr is not None:
        raise VideoError(
            f"{path} is HDR, {look.hdr} in {look.bits} bits, and frames are made in 8 bits, where it bands",
            "Map it to SDR first, such as with FFmpeg's filters zscale and tonemap, and interpolate that.",
        )


def _write(
    writer: VideoWriter, opening: Frame, shown: Iterator[Frame], on_frame: Callable[[], None]
) -> Fraction:
    """Writes every frame; returns when the last one is shown, in seconds."""
    frame, tick = opening, writer.time_base
    while True:
        writer.write(frame.image, round(frame.pts * frame.time_base / tick))
        on_frame()
        following = next(shown, None)
        if following is None:
            return frame.pts * frame.time_base
        frame = following


def _changes(reader: VideoReader, writer: VideoWriter) -> list[str]:
    """What the target's pictures cannot keep of the source's."""
    found = []
    if reader.look.bits > 8:
        found.append(f"the video has {reader.look.bits} bits a component; frames are made and written in 8")
    if (writer.encoded_width, writer.encoded_height) != (reader.width, reader.height):
        found.append(
            f"the size {reader.width}x{reader.height} is odd, and {reader.look.in_eight_bits.pixel_format} "
            f"needs an even one: {writer.encoded_width}x{writer.encoded_height}, the last pixels repeated"
        )
    return found
