"""A video as ffprobe sees it: times, streams, tags, orientation, aspect and colours."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

TICK = 0.0011  # seconds: Matroska counts milliseconds


@dataclass(frozen=True)
class Stream:
    """One stream: ``colour`` is range, matrix, primaries, transfer; ``shape`` the shown width over height."""

    index: int
    kind: str
    codec: str
    start: float | None
    tags: dict[str, str]
    default: bool
    is_cover: bool
    size: tuple[int, int] = (0, 0)
    pixels: str = ""
    shape: Fraction = Fraction(0)
    turned: int = 0
    colour: tuple[str, ...] = ()


@dataclass(frozen=True)
class View:
    """A file: its streams, and the first and the last moment of its pictures in seconds."""

    path: Path
    start: float
    duration: float
    streams: list[Stream]
    begins: float
    ends: float
    frames: int
    chapters: list[str] = field(default_factory=list)

    def all(self, kind: str) -> list[Stream]:
        """The streams of a kind that are no covers."""
        return [one for one in self.streams if one.kind == kind and not one.is_cover]

    @property
    def video(self) -> Stream:
        """The stream that players show."""
        return max(self.all("video"), key=lambda one: one.default)


def have_ffprobe() -> bool:
    """Whether the program is there."""
    return shutil.which("ffprobe") is not None


def view(path: Path) -> View:
    """What ffprobe says of a file."""
    found = _run(path, "-show_format", "-show_streams", "-show_chapters")
    streams = [_stream(one) for one in found["streams"]]
    videos = [one for one in found["streams"] if one["codec_type"] == "video"]
    shown = max(
        (one for one in videos if not one["disposition"]["attached_pic"]),
        key=lambda one: one["disposition"]["default"],
    )
    packets = _run(path, "-select_streams", str(shown["index"]), "-show_packets")["packets"]
    times = [
        (float(one.get("pts_time", one.get("dts_time", 0))), float(one.get("duration_time", 0)))
        for one in packets
        if "D" not in one["flags"]  # read, and not shown
    ]
    last = max(times) if times else (0.0, 0.0)
    return View(
        path=path,
        start=float(found["format"].get("start_time", 0)),
        duration=float(found["format"].get("duration", 0)),
        streams=streams,
        begins=min(times)[0] if times else 0.0,
        ends=sum(last),
        frames=len(times),
        chapters=[one.get("tags", {}).get("title", "") for one in found.get("chapters", [])],
    )


def colours_of(seen: View) -> list[float]:
    """The mean of red, green and blue over the first picture, as PyAV converts it by itself."""
    with av.open(str(seen.path)) as container:
        frames: Any = container.decode(container.streams[seen.video.index])
        first: Any = next(frame for frame in frames if not frame.is_corrupt)
        return [float(value) for value in first.to_ndarray(format="rgb24").mean(axis=(0, 1))]


def light_of(path: Path) -> list[float]:
    """The numbers that a file or its first frame tells of its mastering display and its brightest pixels."""
    options = ("-read_intervals", "%+#1", "-select_streams", "v:0", "-show_frames", "-show_streams")
    found = _run(path, *options)
    told = [one for part in ("streams", "frames") for one in found[part][0].get("side_data_list", [])]
    kinds = ("Mastering display metadata", "Content light level metadata")
    shown = {one["side_data_type"]: one for one in told}
    return [
        float(Fraction(value))
        for kind in kinds
        for key, value in shown.get(kind, {}).items()
        if key != "side_data_type"
    ]


def _stream(found: dict[str, Any]) -> Stream:
    side = found.get("side_data_list", [])
    turned = next((int(one["rotation"]) for one in side if "rotation" in one), 0)
    width, height = int(found.get("width", 0)), int(found.get("height", 0))
    across, down = (int(part) for part in found.get("sample_aspect_ratio", "1:1").split(":"))
    shape = Fraction(width * (across or 1), height * (down or 1)) if height else Fraction(0)
    tags = {key.lower(): value for key, value in found.get("tags", {}).items()}
    names = ("color_range", "color_space", "color_primaries", "color_transfer")
    return Stream(
        index=int(found["index"]),
        kind=found["codec_type"],
        codec=found.get("codec_name", ""),
        start=float(found["start_time"]) if "start_time" in found else None,
        tags={key: tags[key] for key in ("language", "title") if tags.get(key, "und") != "und"},
        default=bool(found["disposition"]["default"]),
        is_cover=bool(found["disposition"]["attached_pic"]),
        size=(width, height),
        pixels=found.get("pix_fmt", ""),
        shape=1 / shape if turned % 180 and shape else shape,
        turned=turned,
        colour=tuple(found.get(name, "unknown") for name in names),
    )


def _run(path: Path, *options: str) -> Any:
    done = subprocess.run(
        ["ffprobe", "-v", "quiet", "-of", "json", *options, str(path)], capture_output=True, check=True
    )
    return json.loads(done.stdout)
