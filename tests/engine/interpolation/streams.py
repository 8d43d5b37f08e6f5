"""Videos with sound, subtitles, chapters and metadata, made with PyAV alone."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from framestate.vision import Image

CHAPTERS = [("one", 0, 400), ("two", 400, 1000)]
TEXTS = [("hello", 100, 300), ("world", 500, 400)]
"""Subtitles: words, when they come, how long they stay; in milliseconds."""

_STYLES = b"""[Script Info]
ScriptType: v4.00+

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, Italic, \
Underline, StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, Alignment, MarginL, \
MarginR, MarginV, Encoding
Style: Default,Arial,16,&Hffffff,&Hffffff,&H0,&H0,0,0,0,0,100,100,0,0,1,1,0,2,10,10,10,0

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
"""


def write_rich(
    path: Path,
    images: list[Image],
    pts: list[int],
    *,
    tick: Fraction = Fraction(1, 1000),
    audio: bool = True,
    subtitles: bool = True,
    pixel_format: str = "yuv420p",
    transfer: int = 1,
) -> Path:
    """A video of ``images`` at ``pts`` ticks, with sound, subtitles, chapters, and an attachment."""
    matroska = path.suffix == ".mkv"
    with av.open(str(path), "w") as target:
        target.metadata.update(title="Koi", artist="nobody")
        pictures: Any = target.add_stream("libx264", rate=25, options={"crf": "4", "threads": "1"})
        pictures.height, pictures.width = images[0].shape[:2]
        pictures.pix_fmt = pixel_format
        context = pictures.codec_context
        context.time_base, context.max_b_frames = tick, 0
        context.color_range, context.colorspace, context.color_primaries = 1, 1, 1
        context.color_trc = transfer
        sound: Any = target.add_stream("aac", rate=48000, layout="mono") if audio else None
        words: Any = None
        if audio:
            sound.metadata["language"] = "fra"
        if subtitles:
            words = target.add_stream("subrip" if matroska else "mov_text")
            words.metadata["language"] = "deu"
            words.codec_context.subtitle_header = _STYLES
        if matroska:
            target.add_attachment("note.txt", "text/plain", b"attached")
        chapters: Any = [
            {"id": number, "start": a, "end": b, "time_base": Fraction(1, 1000), "metadata": {"title": title}}
            for number, (title, a, b) in enumerate(CHAPTERS)
        ]
        target.set_chapters(chapters)
        target.start_encoding()
        if sound is not None:
            _sing(target, sound)
        for text, start, duration in TEXTS if subtitles else []:
            data = text.encode()
            packet = av.Packet(data if matroska else len(data).to_bytes(2, "big") + data)
            packet.stream, packet.time_base = words, Fraction(1, 1000)
            packet.pts = packet.dts = start
            packet.duration = duration
            target.mux_one(packet)
        for image, stamp in zip(images, pts, strict=True):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame = frame.reformat(format=pixel_format, dst_colorspace=1, dst_color_range=1)
            frame.pts, frame.time_base = stamp, tick
            target.mux(pictures.encode(frame))
        target.mux(pictures.encode(None))
    return path


def _sing(target: Any, sound: Any) -> None:
    tone = np.sin(np.arange(48000) / 20).astype(np.float32)[None] / 4
    for start in range(0, 48000, 1024):
        frame = av.AudioFrame.from_ndarray(
            np.ascontiguousarray(tone[:, start : start + 1024]), "fltp", "mono"
        )
        frame.sample_rate, frame.pts, frame.time_base = 48000, start, Fraction(1, 48000)
        target.mux(sound.encode(frame))
    target.mux(sound.encode(None))


def times(path: Path) -> list[Fraction]:
    """When each picture of a video is shown, in seconds."""
    with av.open(str(path), "r") as source:
        frames: list[Any] = list(source.decode(video=0))
    return [frame.pts * frame.time_base for frame in frames]


def packets(path: Path, kind: str) -> list[tuple[bytes, Fraction, Fraction]]:
    """Every packet of the first stream of a kind: its bytes, when it starts, how long it is, in seconds."""
    with av.open(str(path), "r") as source:
        stream = next(one for one in source.streams if one.type == kind)
        found: list[Any] = [packet for packet in source.demux(stream) if packet.size]
        return [(bytes(one), one.pts * one.time_base, (one.duration or 0) * one.time_base) for one in found]


def about(path: Path) -> dict[str, Any]:
    """Metadata, chapters, and what each stream says of itself."""
    with av.open(str(path), "r") as source:
        chapters: Any = source.chapters()
        return {
            "title": source.metadata.get("title"),
            "artist": source.metadata.get("artist", source.metadata.get("ARTIST")),
            "chapters": [
                (one["metadata"]["title"], one["start"] * one["time_base"], one["end"] * one["time_base"])
                for one in chapters
            ],
            "languages": [
                stream.metadata.get("language")
                for stream in source.streams if stream.type in ("audio", "subtitle")
            ],
            "attachments": [
                (stream.name, bytes(stream.data))  # type: ignore[attr-defined]
                for stream in source.streams if stream.type == "attachment"
            ],
        }  # fmt: skip
