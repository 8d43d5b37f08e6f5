"""Passengers of files: every packet of sound, timecodes and names go along."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from framestate.vision import Passengers, VideoWriter
from framestate.vision.tags import named
from framestate.vision.timecode import moved_timecode

from .conftest import picture


def with_sound(path: Path, codec: str, tags: dict[str, str] | None = None) -> Path:
    """A file with ten frames and sound of a codec."""
    with av.open(str(path), "w", options={"movflags": "use_metadata_tags"}) as container:
        container.metadata.update(tags or {})
        video: Any = container.add_stream("mpeg4", rate=25)
        video.width, video.height, video.pix_fmt = 96, 64, "yuv420p"
        sound: Any = container.add_stream(codec, rate=48000, options={"strict": "experimental"})
        sound.layout = "stereo"
        for place in range(10):
            frame = av.VideoFrame.from_ndarray(picture(place), format="rgb24")
            frame.pts = place
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        context = sound.codec_context
        context.open(strict=False)
        kind = context.format.name
        size = 20 if codec == "pcm_s16le" else context.frame_size or 1024
        for start in range(0, 19200, size):
            shape = (2, size) if kind.endswith("p") else (1, 2 * size)
            silence = np.zeros(shape, av.AudioFrame(kind, "stereo", 1).to_ndarray().dtype)
            tone = av.AudioFrame.from_ndarray(silence, format=kind, layout="stereo")
            tone.sample_rate, tone.pts = 48000, start
            container.mux(sound.encode(tone))
        container.mux(sound.encode(None))
    return path


def carried(source: Path, target: Path) -> Path:
    """Another video with the passengers of a source."""
    with (
        Passengers(source) as passengers,
        VideoWriter(target, 96, 64, 25, passengers=passengers, time_base=Fraction(1, 25)) as video,
    ):
        for place in range(10):
            video.write(picture(place), place)
    assert passengers.broken == 0
    return target


def sound_of(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(audio=0) if packet.size and not packet.is_discard]


@pytest.mark.parametrize(
    ("codec", "before", "after"),
    [
        ("pcm_s16le", ".mkv", ".mkv"),  # packets shorter than a millisecond share a time, as TrueHD's do
        ("pcm_s16le", ".mkv", ".mov"),
        ("adpcm_ms", ".avi", ".avi"),  # whose clock is not that of the source
        ("adpcm_ms", ".avi", ".mkv"),
        ("alac", ".mkv", ".mp4"),  # packets that do not say how long they last
        ("flac", ".mkv", ".mp4"),
        ("libopus", ".mkv", ".mp4"),
        ("eac3", ".mkv", ".ts"),
        ("mp2", ".avi", ".mkv"),
        ("pcm_s24le", ".mov", ".mkv"),
    ],
)
def test_every_packet_of_sound_goes_along(tmp_path: Path, codec: str, before: str, after: str) -> None:
    source = with_sound(tmp_path / f"in{before}", codec)
    given = sound_of(source)
    made = sound_of(carried(source, tmp_path / f"out{after}"))
    assert len(given) > 3
    assert b"".join(made) == b"".join(given)


def test_a_timecode_counts_the_frames_of_the_target() -> None:
    fast, ntsc = Fraction(50), Fraction(60000, 1001)
    assert moved_timecode("01:00:00:00", Fraction(25), fast) == "01:00:00:00"
    assert moved_timecode("01:00:00:12", Fraction(25), fast) == "01:00:00:24"
    assert moved_timecode("01:00:00:24", Fraction(25), Fraction(24)) == "01:00:00:23"
    assert moved_timecode("01:00:00;02", ntsc / 2, ntsc) == "01:00:00;04"
    assert moved_timecode("01:00:00;02", ntsc / 2, fast) == "01:00:00:03"
    assert moved_timecode("soon", Fraction(25), fast) is None


@pytest.mark.parametrize("suffix", [".mov", ".mp4", ".mkv"])
def test_timecodes_and_the_names_that_phones_choose_go_along(tmp_path: Path, suffix: str) -> None:
    tags = {"timecode": "10:00:00:05", "com.apple.quicktime.make": "Apple", "title": "One"}
    source = with_sound(tmp_path / "in.mov", "aac", tags)
    target = carried(source, tmp_path / f"out{suffix}")
    with av.open(str(target)) as made:
        found = {key.lower(): value for key, value in made.metadata.items()}
        found |= {key.lower(): value for key, value in made.streams.video[0].metadata.items()}
    assert found["timecode"] == "10:00:00:05"
    assert found["title"] == "One"
    assert found["com.apple.quicktime.make"] == "Apple"


def test_titles_of_streams_have_a_place_in_mp4() -> None:
    assert named({"title": "Comment"}, "mp4") == {"title": "Comment", "handler_name": "Comment"}
    assert named({"title": "Comment"}, "matroska") == {"title": "Comment"}
