"""Clocks, orientations, names, folders, encoders: what the reader and the writer make of files."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from framestate.errors import OptionError, VideoError, VideoWriteError
from framestate.vision import Encoding, Look, Passengers, VideoReader, VideoWriter, rehearse
from framestate.vision.joins import Joins
from framestate.vision.opening import is_pipe
from framestate.vision.target import beside
from framestate.vision.upright import Orientation

from .conftest import picture

ClipMaker = Callable[..., Path]
TICK = Fraction(1, 1000)


@dataclass
class Packet:
    """What `Joins` looks at."""

    stream_index: int
    dts: int | None
    duration: int = 400
    time_base: Fraction = TICK

    @property
    def pts(self) -> int | None:
        return self.dts


def test_parts_go_on_one_frame_after_the_last() -> None:
    joins = Joins(0, Fraction(4, 10))
    times = [0, 400, 800, 0, 400, 5000, 300, 700]
    placed = []
    for time in times:
        part = joins.part(Packet(0, time))
        placed.append(1000 * (time * TICK + joins.offsets[part]))
    assert placed == [0, 400, 800, 1200, 1600, 6200, 6600, 7000]
    assert [1000 * one for one in joins.jumps_back] == [1200, 6600]
    assert joins.gaps == []


def test_sound_moves_with_the_pictures_of_its_part() -> None:
    joins = Joins(0, Fraction(4, 10))
    for time in (0, 400, 800):
        joins.part(Packet(0, time))
    joins.part(Packet(1, 600))
    early = joins.part(Packet(1, -400))  # before the first picture of its part
    assert early == 1 == len(joins.offsets)
    joins.part(Packet(0, 0))
    assert len(joins.offsets) == 2
    assert joins.part(Packet(1, 200)) == 1
    assert joins.part(Packet(2, 200)) == 1  # a stream that was not seen before


def test_small_disorder_is_no_new_part_and_long_gaps_are_told() -> None:
    joins = Joins(0, Fraction(4, 10))
    assert [joins.part(Packet(0, time)) for time in (0, 400, 200, 800, 20_000)] == [0] * 5
    assert joins.gaps == [(Fraction(12, 10), Fraction(20))]


@pytest.mark.parametrize("suffix", [".mkv", ".mp4", ".ts"])
@pytest.mark.parametrize("rate", [2, 10])
def test_reordered_pictures_at_low_rates_are_no_new_part(tmp_path: Path, rate: int, suffix: str) -> None:
    path = tmp_path / f"clip{suffix}"
    options = {"bf": "3", "b-pyramid": "normal", "x264-params": "b-adapt=0:scenecut=0"}
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=rate, options=options)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for place in range(12):
            frame = av.VideoFrame.from_ndarray(picture(place), format="rgb24")
            frame.pts = place
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with av.open(str(path)) as container:
        stamps = [packet.pts for packet in container.demux(video=0) if packet.pts is not None]
    assert stamps != sorted(stamps), "pictures are reordered"
    with VideoReader(path) as reader:
        times = [float(frame.pts * frame.time_base) for frame in reader]
        assert reader.notes == []
    assert times == pytest.approx([place / rate for place in range(12)], abs=0.001)


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("flipped", [False, True])
def test_display_matrices(tmp_path: Path, turned: bool, mirrored: bool, flipped: bool) -> None:
    image = np.zeros((64, 96, 3), np.uint8)
    image[:16, :32] = 255  # a bright bar in the top left corner, longer across than down
    one = 1 << 16
    a, d = (-one if mirrored else one), (-one if flipped else one)
    matrix = [0, d, 0, a, 0, 0, 0, 0, 1 << 30] if turned else [a, 0, 0, 0, d, 0, 0, 0, 1 << 30]
    path = tmp_path / "clip.mp4"
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=25, options={"crf": "4"})
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(4, 3)
        stream.set_display_matrix(matrix)
        for place in range(3):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts = place
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    expected = Orientation(turned, mirrored, flipped).upright(image)
    with VideoReader(path, exact_colour=True) as reader:
        frames = [frame.image for frame in reader]
        assert reader.look.aspect == (Fraction(3, 4) if turned else Fraction(4, 3))
    assert frames[0].shape == expected.shape == ((96, 64, 3) if turned else (64, 96, 3))
    assert all(np.abs(frame.astype(int) - expected).mean() < 3 for frame in frames)


@pytest.mark.data
def test_shared_orientations(shared_data: Path) -> None:
    def first(name: str) -> tuple[Any, int]:
        with VideoReader(shared_data / "files" / name) as reader:
            found = [frame.image for frame in reader]
        return found[0].astype(int), len({frame.shape for frame in found})

    upright, _ = first("up.mp4")
    mirrored, _ = first("hflip.mp4")
    assert np.abs(mirrored - upright[:, ::-1]).mean() < 6
    turned, shapes = first("seirot.mp4")
    assert (turned.shape, shapes) == ((320, 240, 3), 1)


@pytest.mark.data
def test_shared_clocks(shared_data: Path) -> None:
    folder = shared_data / "files"
    with VideoReader(folder / "jumpback.ts") as reader:
        times = [float(frame.pts * frame.time_base) for frame in reader]
        assert np.diff(times) == pytest.approx([0.04] * 59, abs=0.001)
        assert any("start again at 1.221 s" in words for words in reader.notes)
    for name, ends in (("longlast.gif", 3.4), ("one.mp4", 3.0), ("screen.mp4", 3.753), ("h25.ts", 1.221)):
        with VideoReader(folder / name) as reader:
            times = [float(frame.pts * frame.time_base) for frame in reader]
            assert times[0] < 0.05
            assert reader.end is not None
            assert float(reader.end) == pytest.approx(ends, abs=0.002), name
    with VideoReader(folder / "trunc.mkv") as reader:
        list(reader)
        assert any("ends early" in words for words in reader.notes)
    with VideoReader(folder / "angles.mkv") as reader, VideoReader(folder / "angles.mkv", stream=0) as other:
        assert (reader.stream, other.stream) == (1, 0)


@pytest.mark.parametrize(("lines", "matrix"), [(480, 5), (720, 1), (1080, 1)])
def test_untagged_colours_follow_players_rule(lines: int, matrix: int) -> None:
    look = Look("yuv420p", 0, 2, 2, 2, is_hd=lines >= 720)
    assert look.swscale_matrix == matrix


@pytest.mark.parametrize(
    ("tag", "matrix"), [(1, 1), (4, 4), (5, 5), (6, 5), (7, 7), (9, 9), (10, 9), (2, 5), (99, 5)]
)
def test_a_colour_tag_is_the_matrix_of_h273(tag: int, matrix: int) -> None:
    assert Look("yuv420p", 0, tag, 2, 2).swscale_matrix == matrix


@pytest.mark.data
def test_an_untagged_picture_keeps_its_colours_when_it_is_written_again(
    shared_data: Path, tmp_path: Path
) -> None:
    with VideoReader(shared_data / "files" / "c_hduntag.mp4", exact_colour=True) as reader:
        look = reader.look.in_eight_bits
        frames = [frame.image for frame in reader]
    with VideoWriter(
        tmp_path / "o.mp4", 1280, 720, 10, look=look, encoding=Encoding(crf=2), exact_colour=True
    ) as video:
        for frame in frames:
            video.write(frame)
    with VideoReader(tmp_path / "o.mp4", exact_colour=True) as made:
        assert made.look.matrix == 2  # still untagged
        assert np.abs(next(iter(made)).image.astype(int) - frames[0]).mean() < 1.5


def test_long_names_and_folders_that_cannot_be_written(tmp_path: Path) -> None:
    name = "n" * 251 + ".mp4"
    with VideoWriter(tmp_path / name, 64, 48, 25) as video:
        video.write(picture(0, 64, 48))
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert len(beside(tmp_path / ("ü" * 120 + ".mp4")).name.encode()) <= 255
    if not Path("/sys/kernel").is_dir():
        pytest.skip("there is no file system here that nobody can write to")
    with pytest.raises(VideoWriteError, match="cannot be written"):
        VideoWriter("/sys/kernel/out.mp4", 64, 48, 25)


def test_what_a_container_refuses_is_found_without_work(make_clip: ClipMaker, tmp_path: Path) -> None:
    source = tmp_path / "in.mkv"
    with av.open(str(source), "w") as container:
        video: Any = container.add_stream("libx264", rate=25)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        sound: Any = container.add_stream("vorbis", rate=48000, options={"strict": "-2"})
        sound.layout = "stereo"
        frame = av.VideoFrame.from_ndarray(picture(0, 64, 48), format="rgb24")
        container.mux(video.encode(frame))
        container.mux(video.encode(None))
        tone = av.AudioFrame.from_ndarray(np.zeros((2, 4096), np.float32), format="fltp", layout="stereo")
        tone.sample_rate = 48000
        container.mux(sound.encode(tone))
        container.mux(sound.encode(None))

    def opened(path: Path, passengers: Passengers) -> VideoWriter:
        return VideoWriter(path, 64, 48, 25, passengers=passengers)

    def aboard(only: Any) -> Passengers:
        return Passengers(source, only=only, briefly=True)

    rehearse(tmp_path / "out.mkv", aboard, opened)
    with pytest.raises(OptionError, match=r"audio stream 1 \(vorbis, 2 channels\).*mov"):
        rehearse(tmp_path / "out.mov", aboard, opened)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mkv"]


def test_pipes_and_addresses(make_clip: ClipMaker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import threading

    clip = make_clip(frames=5)
    fifo = tmp_path / "pipe"
    os.mkfifo(fifo)
    assert is_pipe(fifo)
    writing = threading.Thread(target=lambda: fifo.write_bytes(clip.read_bytes()))
    writing.start()
    with VideoReader(fifo) as reader:
        writing.join()
        copy = reader.file
        assert len(list(reader)) == len(list(reader)) == 5  # again, though it came once
    assert not copy.exists()
    with open(clip, "rb") as file:
        monkeypatch.setattr(sys, "stdin", file)
        with VideoReader("-") as reader:
            assert reader.frame_count == 5
    writing = threading.Thread(target=lambda: fifo.write_bytes(b""))
    writing.start()
    with pytest.raises(VideoError, match="Nothing came through the pipe"):
        VideoReader(fifo)
    writing.join()
    writing = threading.Thread(target=lambda: fifo.write_bytes(b"no video"))
    writing.start()
    with pytest.raises(VideoError, match=f"^{fifo} cannot be opened"):
        VideoReader(fifo)
    writing.join()
    for address in ("https://example.org/a.mp4", "rtsp://camera/1"):
        with pytest.raises(VideoError, match="is an address"):
            VideoReader(address)


@pytest.mark.parametrize(
    ("codec", "suffix", "pixels"),
    [
        ("libx264", ".mp4", "yuv420p"),
        ("libx265", ".mp4", "yuv420p"),
        ("libsvtav1", ".mp4", "yuv420p"),
        ("libvpx-vp9", ".webm", "yuv420p"),
        ("prores_ks", ".mov", "yuv422p10le"),
        ("ffv1", ".mkv", "yuv420p"),
        ("dnxhd", ".mov", "yuv422p"),
        ("mjpeg", ".mov", "yuv420p"),
        ("mpeg4", ".mp4", "yuv420p"),
        ("mpeg2video", ".ts", "yuv420p"),
        ("qtrle", ".mov", "rgb24"),
        ("utvideo", ".avi", "yuv420p"),
    ],
)
def test_encoders(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], codec: str, suffix: str, pixels: str
) -> None:
    path = tmp_path / f"out{suffix}"
    with VideoWriter(path, 256, 128, 25, encoding=Encoding(codec), time_base=Fraction(1, 90_000)) as video:
        for place in range(6):
            video.write(cv2.GaussianBlur(picture(place, 256, 128), (0, 0), 3), 3600 * place)  # type: ignore[arg-type]
        assert video.pixel_format == pixels
    said = capfd.readouterr()
    assert said.err == said.out == ""
    with VideoReader(path) as reader:
        assert [round(float(frame.seconds), 2) for frame in reader] == pytest.approx(
            [0, 0.04, 0.08, 0.12, 0.16, 0.2], abs=0.011
        )
    if codec == "libx265":
        with av.open(str(path)) as container:
            assert container.streams.video[0].codec_context.codec_tag == "hvc1"


def test_gif_counts_hundredths_and_keeps_colours(tmp_path: Path) -> None:
    image = np.zeros((48, 64, 3), np.uint8)
    image[:, :32], image[:, 32:] = (200, 30, 60), (20, 90, 220)
    with VideoWriter(tmp_path / "o.gif", 64, 48, 25, time_base=TICK) as video:
        for time in (0, 40, 45, 80, 1000):
            video.write(image, time)
        video.last_duration = 2000
        assert video.fell_together == 1
    with VideoReader(tmp_path / "o.gif") as reader:
        frames = list(reader)
        assert [round(1000 * frame.seconds) for frame in frames] == [0, 40, 80, 1000]
        assert reader.end == 3
        assert np.abs(frames[0].image.astype(int) - image).max() < 12
        assert not reader.has_alpha


def test_avi_shows_reordered_pictures_evenly(tmp_path: Path) -> None:
    path = tmp_path / "clip.avi"
    with VideoWriter(path, 96, 64, 25) as video:  # with B-frames, as times are even
        for place in range(12):
            video.write(picture(place))
    with VideoReader(path) as reader:
        assert [frame.seconds for frame in reader] == pytest.approx([place / 25 for place in range(12)])
        assert reader.end == Fraction(12, 25)


def test_a_rate_that_nobody_can_mean_is_not_believed() -> None:
    from framestate.vision.streams import frame_rate

    @dataclass
    class Stream:
        average_rate: Fraction | None
        guessed_rate: Fraction | None
        base_rate: Fraction | None

    assert frame_rate(Stream(Fraction(120_000), Fraction(25), Fraction(25))) == 25  # DV
    assert frame_rate(Stream(Fraction(200), Fraction(25), Fraction(25))) == 25
    assert frame_rate(Stream(Fraction(7, 2), Fraction(60), Fraction(60))) == Fraction(7, 2)  # variable
    assert frame_rate(Stream(None, None, None)) == 25
