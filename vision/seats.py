"""How a passenger travels: copied as it is, as text in another form, or as sound that is encoded anew."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from fractions import Fraction
from types import MappingProxyType
from typing import Any, Protocol

import av
import av.codec
import av.error
import av.format
from av.filter import Graph

from ..errors import OptionError

COPY = "copy"
_TEXT = frozenset({"subrip", "srt", "ass", "ssa", "mov_text", "webvtt", "text"})
_TEXT_IN: Mapping[str, str] = MappingProxyType(
    {"mp4": "mov_text", "mov": "mov_text", "ipod": "mov_text", "matroska": "subrip", "webm": "webvtt"}
)
"""How containers hold text, by format."""
_SOUND: Mapping[str, str] = MappingProxyType(
    {"opus": "libopus", "mp3": "libmp3lame", "vorbis": "libvorbis", "pcm": "pcm_s16le"}
)
"""Encoders of sound by the names that people know them by; all others by FFmpeg's."""
_ANY_ORDER: Any = av.format.Flags.ts_nonstrict.value  # of containers in which packets may share a time
_SLOWEST, _OPUS_RATE = 0.5, 48000  # of one step of atempo; the only one that Opus has for all sound


class Seat(Protocol):
    """A stream of the target that packets of the source are brought to."""

    stream: Any
    is_encoded: bool

    def feed(self, packet: Any, time: Fraction) -> Iterator[Any]:
        """What becomes of a packet that is due at ``time``, in seconds of the target."""

    def flush(self) -> Iterator[Any]:
        """What is still inside."""


class Copied:
    """Every packet as it is.

    Packets that are shorter than a tick of their file (TrueHD in Matroska) share a time. Containers that
    forbid that get them a tick apart. A packet that does not say how long it lasts lasts as the one before,
    without which MP4 would end before its last one.

    Args:
        stream: of the target.
        form: the name of the container's format.
    """

    is_encoded = False

    def __init__(self, stream: Any, form: str) -> None:
        self.stream = stream
        flags: Any = av.ContainerFormat(form, "w").flags
        self._is_strict = not flags & _ANY_ORDER
        self._last: int | None = None  # dts in the target
        self._steps = 0  # between the last two in the source

    def feed(self, packet: Any, time: Fraction) -> Iterator[Any]:
        """The packet itself."""
        packet.stream = self.stream
        if self._is_strict and packet.dts is not None:
            self._place(packet)
        yield packet

    def _place(self, packet: Any) -> None:
        """On the target's clock, after the one before."""
        scale = packet.time_base / self.stream.time_base
        dts = round(packet.dts * scale)
        late = 0 if self._last is None else max(0, self._last + 1 - dts)
        if self._last is not None and not late:
            self._steps = dts - self._last
        packet.pts = None if packet.pts is None else round(packet.pts * scale) + late
        packet.dts = self._last = dts + late
        packet.duration = round(packet.duration * scale)
        if not packet.duration and self.stream.type == "audio":
            packet.duration = self._steps
        packet.time_base = self.stream.time_base

    def flush(self) -> Iterator[Any]:
        """Nothing is inside."""
        return iter(())


class Text:
    """Text subtitles in the form that the target has for them; what they say and when stays."""

    is_encoded = False

    def __init__(self, source: Any, target: Any, form: str) -> None:
        self._decoder = source.codec_context
        self._decoder.open(strict=False)
        self.stream = target.add_stream(_TEXT_IN[form])
        self.stream.codec_context.subtitle_header = self._decoder.subtitle_header
        self.stream.codec_context.time_base = self.stream.time_base = Fraction(1, 1000)

    def feed(self, packet: Any, time: Fraction) -> Iterator[Any]:
        """The text in its new form, if there is any."""
        shown = self._decoder.decode2(packet)
        if shown is None or not len(shown):
            return  # MP4 fills the time between texts with empty ones
        made = self.stream.codec_context.encode_subtitle(shown)
        if not made.size:
            return
        made.stream, made.time_base = self.stream, Fraction(1, 1000)
        made.pts = made.dts = round(time * 1000)
        lasts = (
            packet.duration * packet.time_base if packet.duration else Fraction(shown.end_display_time, 1000)
        )
        made.duration = round(lasts * 1000)
        yield made

    def flush(self) -> Iterator[Any]:
        """Nothing is inside."""
        return iter(())


class Sound:
    """Sound that is decoded, stretched if it is to play slower (its pitch stays), and encoded.

    Args:
        source: the stream to read.
        target: the container to write.
        codec: an encoder.
        slow: how many times slower it plays.

    Raises:
        OptionError: there is no such encoder of sound.
    """

    is_encoded = True

    def __init__(self, source: Any, target: Any, codec: str, slow: Fraction) -> None:
        name = check_sound(codec)
        own = source.codec_context
        rate = _OPUS_RATE if name == "libopus" else own.sample_rate
        self._decoder, self._slow = own, slow
        self.stream = target.add_stream(name, rate=rate)
        layout = own.layout.name if own.layout.name.replace(".", "").isalnum() else None
        self.stream.codec_context.layout = layout or {1: "mono"}.get(own.channels, "stereo")
        self.stream.codec_context.time_base = Fraction(1, rate)
        self._graph: Any = None
        self._next: int | None = None  # pts of the next frame that is encoded

    def feed(self, packet: Any, time: Fraction) -> Iterator[Any]:
        """What the encoder has made by then; the first packet says when the sound begins."""
        for frame in self._decoder.decode(packet):
            if self._graph is None:
                self.stream.codec_context.open(strict=False)
                self._graph = self._built(frame)
                self._next = round(time * self.stream.codec_context.sample_rate)
            self._graph.push(frame)
            yield from self._encoded()

    def flush(self) -> Iterator[Any]:
        """The rest of the sound."""
        if self._graph is None:
            return
        self._graph.push(None)
        yield from self._encoded()
        yield from self._named(self.stream.encode(None))

    def _built(self, frame: Any) -> Any:
        encoder = self.stream.codec_context
        graph = Graph()
        last = graph.add_abuffer(
            sample_rate=frame.sample_rate, format=frame.format, layout=frame.layout, time_base=frame.time_base
        )
        steps = max(0, math.ceil(math.log(self._slow, 1 / _SLOWEST)))
        tempo = float(1 / self._slow) ** (1 / steps) if steps else 1.0
        chain = [("aresample", "async=1:min_hard_comp=0.1")]  # gaps become silence
        chain += [("atempo", f"{tempo:.9f}")] * steps
        formats = f"sample_fmts={encoder.format.name}:sample_rates={encoder.sample_rate}"
        chain.append(("aformat", f"{formats}:channel_layouts={encoder.layout.name}"))
        for name, words in chain:
            following = graph.add(name, words)
            last.link_to(following)
            last = following
        last.link_to(graph.add("abuffersink"))
        graph.configure()
        if encoder.frame_size:
            graph.set_audio_frame_size(encoder.frame_size)
        return graph

    def _encoded(self) -> Iterator[Any]:
        while True:
            try:
                frame = self._graph.pull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return
            frame.pts, frame.time_base = self._next, self.stream.codec_context.time_base
            self._next = (self._next or 0) + frame.samples
            yield from self._named(self.stream.encode(frame))

    def _named(self, packets: Any) -> Iterator[Any]:
        for packet in packets:
            packet.stream = self.stream
            yield packet


def can_be_text(source: Any, form: str) -> bool:
    """Whether a subtitle stream is text that a container of this format has a form for."""
    context = source.codec_context
    return form in _TEXT_IN and context is not None and context.codec.canonical_name in _TEXT


def check_sound(codec: str) -> str:
    """The name of an encoder of sound. Raises OptionError if there is none."""
    name = _SOUND.get(codec, codec)
    try:
        kind = av.codec.Codec(name, "w").type
    except (av.error.FFmpegError, ValueError):
        kind = None
    if kind != "audio":
        raise OptionError(
            f"There is no audio encoder {codec!r} here", "Choose copy, aac, opus, mp3, flac, ac3 or pcm."
        )
    return name
