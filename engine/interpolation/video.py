"""A whole video file interpolated into another one; sound, subtitles and the rest go along as they are."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import chain
from pathlib import Path

from ...errors import VideoError
from ...vision import Encoding, Frame, Look, Passengers, VideoReader, VideoWriter, rehearse
from .options import InterpolationOptions
from .session import Counts, InterpolationSession

_FINEST = 10**9  # ticks a second that containers can count


@dataclass(frozen=True)
class OutputOptions:
    """How the target is written.

    Attributes:
        encoding: encoder, quality and speed.
        without: kinds of streams not to copy, out of ``audio``, ``subtitle`` and ``attachment``.
    """

    encoding: Encoding = field(default_factory=Encoding)
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
    session: InterpolationSession,
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
        VideoError: the video has a high dynamic range, and is read in 8 bits.
        FrameError: the size of the frames changes.
        OptionError: the container cannot hold one of the streams, or there is no such encoder or scale.
        StepError: the model failed.
        VideoWriteError: the target cannot be written, or the disk is full.
    """
    options = session.options
    check_range(reader)
    run = VideoRun(options.fps or reader.frame_rate * options.steps / options.slow_motion)
    frames = iter(reader)
    first = next(frames)
    start, slow = first.pts * first.time_base, options.slow_motion
    look = reader.look if reader.is_deep else reader.look.in_eight_bits

    def aboard(only: Collection[int] | None, briefly: bool = True) -> Passengers:
        return Passengers(
            reader.file, video=reader.stream, without=output.without, slow=slow, start=start,
            shift=reader.shift, only=only, briefly=briefly,
        )  # fmt: skip

    def opened(path: Path, passengers: Passengers, tick: Fraction) -> VideoWriter:
        return VideoWriter(
            path, reader.width, reader.height, run.rate, encoding=output.encoding, time_base=tick, look=look,
            passengers=passengers, exact_colour=True,
        )  # fmt: skip

    rehearse(target, aboard, lambda path, passengers: opened(path, passengers, 1 / run.rate), deep=reader.is_deep)
    with aboard(None, briefly=False) as passengers:
        shown = session.ahead(chain([first], frames), lanes)
        opening = next(shown)
        tick = max(opening.time_base, Fraction(1, _FINEST))
        with opened(target, passengers, tick) as writer:
            last = _write(writer, opening, shown, on_frame)
            ends = session.ends if reader.end is None else start + slow * (reader.end - start)
            if ends is not None:
                writer.last_duration = max(1, round((ends - last) / tick))
        run.streams = passengers.num_streams
        run.notes = [*reader.notes, *_changes(reader, writer, session.counts), *passengers.left_out]
        run.broken_packets = reader.broken_packets + passengers.broken
    run.counts = session.counts
    run.scale, run.tiles = session.scale or 1.0, session.num_tiles or 1
    return run


def check_range(reader: VideoReader) -> None:
    """Raises VideoError for a video of high dynamic range whose frames are read in 8 bits."""
    look = reader.look
    if look.hdr is not None and not reader.is_deep:
        raise VideoError(
            f"{reader.path} is HDR, {look.hdr} in {look.bits} bits, and is read in 8 bits, where it bands",
            "Read it with VideoReader(..., deep=True), as framestate interpolate does.",
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


def _changes(reader: VideoReader, writer: VideoWriter, counts: Counts) -> list[str]:
    """What the target's pictures cannot keep of the source's."""
    found = []
    look, kept = reader.look, writer.look
    if look.bits > kept.bits:
        found.append(f"the video has {look.bits} bits a component, and {writer.codec} writes {kept.bits}")
    if look.has_alpha and not kept.has_alpha:
        found.append("the video has transparency, which is dropped: its colours are written as they are")
    if look.light and look.light.options(writer.codec) is None:
        found.append(f"what it tells of its mastering display is dropped: {writer.codec} cannot be told")
    if look.light.dolby_vision:
        found.append("Dolby Vision is dropped: what is left is the layer that other displays show")
    if reader.is_interlaced:
        found.append("interlaced frames were woven (bwdif)" if reader.deinterlaces else "the video is interlaced")
    if (writer.encoded_width, writer.encoded_height) != (reader.width, reader.height):
        found.append(
            f"the size {reader.width}x{reader.height} is odd, and {writer.pixel_format} "
            f"needs an even one: {writer.encoded_width}x{writer.encoded_height}, the last pixels repeated"
        )
    if counts.pauses:
        found.append(f"{counts.pauses} pauses of more than a second were held, and nothing made in them")
    return found
