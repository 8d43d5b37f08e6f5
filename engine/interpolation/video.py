"""A whole video file interpolated into another one; sound, subtitles and the rest go along as they are."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import chain, repeat
from pathlib import Path

from ...errors import VideoError
from ...vision import Encoding, Frame, Passengers, VideoReader, VideoWriter, changes, rehearse
from ...wire import Made
from ..session import Session
from .duplicates import unique
from .memory import Counts
from .options import InterpolationOptions

_FINEST = 10**9  # ticks a second that containers can count


@dataclass(frozen=True)
class OutputOptions:
    """How the target is written.

    Attributes:
        encoding: encoder, quality and speed.
        without: kinds of streams not to copy, out of ``audio``, ``subtitle`` and ``attachment``.
        audio: ``copy``, or an encoder of sound: aac, opus, ...; slow motion stretches what is encoded.
        dedup: leave out frames that repeat the one before, and make others in their place; see `for_unique`.
    """

    encoding: Encoding = field(default_factory=Encoding)
    without: Collection[str] = ()
    dedup: bool = False
    audio: str = "copy"


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


def for_unique(options: InterpolationOptions, reader: VideoReader) -> InterpolationOptions:
    """Options for a video whose duplicates are left out: an even rate takes the place of a factor.

    A factor counts frames that are there; of animation on twos it would make no more than there were.
    """
    if options.fps is not None:
        return options
    rate = reader.frame_rate * options.steps / options.slow_motion
    return replace(options, factor=None, fps=rate)


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
    masks: Session[Made] | None = None,
) -> VideoRun:
    """Interpolates all of a video into the file ``target``, which appears whole or not at all.

    Args:
        session: a new one; its options say what to make. It is flushed.
        reader: a freshly opened video.
        target: the suffix chooses the container.
        output: codec, quality, and what not to copy.
        on_frame: called after each frame that was written.
        lanes: frames that are made side by side, for cores that a model call leaves idle.
        masks: another new session with the same options, for the opacity of a video that has one; without it,
            or where the encoder has no room for it, the opacity is dropped, which is noted.

    Raises:
        VideoError: the video has a high dynamic range, and is read in 8 bits.
        FrameError: the size of the frames changes.
        OptionError: the container cannot hold one of the streams, or there is no such encoder or scale.
        StepError: the model failed.
        VideoWriteError: the target cannot be written, or the disk is full.
    """
    options: InterpolationOptions = session.memory.options
    check_range(reader)
    run = VideoRun(options.fps or reader.frame_rate * options.steps / options.slow_motion)
    dropped: set[int] = set()
    frames: Iterator[Frame] = iter(reader)
    if output.dedup:
        frames = unique(frames, lambda frame: dropped.add(frame.index))
    first = next(frames)
    start, slow = first.pts * first.time_base, options.slow_motion
    look = reader.look if reader.is_deep else reader.look.in_eight_bits
    if masks is None:
        look = look.opaque

    def aboard(only: Collection[int] | None, briefly: bool = True) -> Passengers:
        return Passengers(
            reader.file, video=reader.stream, without=output.without, audio=output.audio, slow=slow,
            start=start, shift=reader.shift, only=only, briefly=briefly,
        )  # fmt: skip

    def opened(path: Path, passengers: Passengers, tick: Fraction) -> VideoWriter:
        return VideoWriter(
            path, reader.width, reader.height, run.rate, encoding=output.encoding, time_base=tick, look=look,
            passengers=passengers, exact_colour=True,
        )  # fmt: skip

    def rehearsed(path: Path, passengers: Passengers) -> VideoWriter:
        return opened(path, passengers, 1 / run.rate)

    rehearse(target, aboard, rehearsed, deep=reader.is_deep)
    with ExitStack() as stack:
        passengers = stack.enter_context(aboard(None, briefly=False))
        shown = session.ahead(chain([first], frames), lanes)
        opening = next(shown)
        tick = max(opening.time_base, Fraction(1, _FINEST))
        writer = stack.enter_context(opened(target, passengers, tick))
        opacity: Iterator[Frame | None] = repeat(None)
        if masks is not None and reader.has_alpha and writer.keeps_alpha:
            beside = stack.enter_context(reader.masks())
            opacity = masks.ahead((mask for mask in beside if mask.index not in dropped), 1)
        last = _write(writer, chain([opening], shown), opacity, on_frame)
        ends = session.memory.ends if reader.end is None else start + slow * (reader.end - start)
        if ends is not None:
            writer.last_duration = max(1, round((ends - last) / tick))
        writer.close()
        run.streams = passengers.num_streams
        run.notes = [*reader.notes, *changes(reader, writer), *passengers.left_out]
        if pauses := session.memory.counts.pauses:
            run.notes.append(f"{pauses} pauses of more than a second were held, and nothing made in them")
        if dropped:
            run.notes.append(f"{len(dropped)} frames that repeat the one before were left out first")
        run.broken_packets = reader.broken_packets + passengers.broken
    memory = session.memory
    run.counts, run.scale, run.tiles = memory.counts, memory.scale or 1.0, memory.num_tiles or 1
    return run


def check_range(reader: VideoReader) -> None:
    """Raises VideoError for HDR that is read in 8 bits, and for Dolby Vision without a base layer."""
    look = reader.look
    if reader.extras.needs_dolby:
        raise VideoError(
            f"{reader.path} is Dolby Vision of profile 5, whose colours mean nothing without Dolby's mapping",
            "Map it to HDR10 first: ffmpeg -vf libplacebo=colorspace=bt2020nc:color_trc=smpte2084.",
        )
    if look.hdr is not None and not reader.is_deep:
        raise VideoError(
            f"{reader.path} is HDR, {look.hdr} in {look.bits} bits, and is read in 8 bits, where it bands",
            "Read it with VideoReader(..., deep=True), as framestate interpolate does.",
        )


def _write(
    writer: VideoWriter,
    shown: Iterator[Frame],
    opacity: Iterator[Frame | None],
    on_frame: Callable[[], None],
) -> Fraction:
    """Writes every frame; returns when the last one is shown, in seconds."""
    last = Fraction(0)
    for frame in shown:
        mask = next(opacity, None)
        last = frame.pts * frame.time_base
        place = round(last / writer.time_base)
        writer.write(frame.image, place, None if mask is None else mask.image, frame.stored)
        on_frame()
    return last
