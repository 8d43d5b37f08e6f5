"""Facts about PyAV's streams: which one is the video, how fast it is, what decodes it, what to call it."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from types import MappingProxyType
from typing import Any

import av.codec
import av.error
import av.stream

_WITH_ALPHA: Mapping[str, str] = MappingProxyType({"vp8": "libvpx", "vp9": "libvpx-vp9"})
"""Decoders that read the opacity beside the colours, where FFmpeg's own pass it over."""
_MOST_RATE = 1000  # frames a second that a container is believed
_STILL = frozenset({"mjpeg", "png", "bmp", "webp", "tiff"})


def decoder_of(stream: Any) -> Any:
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
        positive(value) for value in (stream.average_rate, stream.guessed_rate, stream.base_rate)
    )
    nominal = [rate for rate in others if rate and rate <= _MOST_RATE]
    # An average above twice what the stream itself tells is an error of the container (DV, some AVI).
    if average and average <= _MOST_RATE and (not nominal or average <= 2 * max(nominal)):
        return average
    return nominal[0] if nominal else Fraction(25)


def shown_stream(container: Any) -> Any:
    """The video stream that players show: no cover, the default one, the first of what is left; or None.

    A stream of still pictures (MJPEG, PNG) beside one that moves is a cover, marked as one or not.
    """
    kinds = av.stream.Disposition
    stills = kinds.attached_pic | kinds.timed_thumbnails
    videos = [one for one in container.streams.video if not one.disposition & stills]
    moving = [one for one in videos if one.codec_context is None or one.codec_context.name not in _STILL]
    return max(moving or videos, key=lambda one: bool(one.disposition & kinds.default), default=None)


def size_of(stream: Any) -> str:
    """Size and codec of a video stream, for people."""
    context = stream.codec_context
    return f"{context.width}x{context.height} {context.name}" if context else "unknown"


def positive(value: Any) -> Fraction | None:
    """A positive Fraction out of PyAV's rational, or None."""
    fraction = Fraction(value.numerator, value.denominator) if value and value.denominator else Fraction(0)
    return fraction if fraction > 0 else None


def is_cover(stream: Any) -> bool:
    """Whether a stream is a still picture that stands for the file."""
    return stream.type == "video" and bool(stream.disposition & av.stream.Disposition.attached_pic)


def codec_of(stream: Any) -> str:
    """The codec's name, whichever decoder reads it; empty where no decoder here does."""
    return "" if stream.codec_context is None else str(stream.codec_context.codec.canonical_name)


def about(stream: Any) -> str:
    """A stream for people: its kind, its place, its codec."""
    context = stream.codec_context
    channels = f", {context.channels} channels" if stream.type == "audio" and context is not None else ""
    return f"{stream.type} stream {stream.index} ({codec_of(stream) or 'unknown codec'}{channels})"
