from __future__ import annotations

import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from framestate.errors import FrameError, OptionError, VideoWriteError
from framestate.vision import Encoding, VideoReader, VideoWriter

from .conftest import picture


def left_behind(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_video_is_h264_with_its_index_in_front(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    with VideoWriter(path, 96, 64, 30) as video:
        for place in range(20):
            video.write(picture(place))
        assert not path.exists()  # it appears whole
        assert video.frames_written == 20
    assert left_behind(tmp_path) == ["out.mp4"]
    data = path.read_bytes()
    assert 0 < data.find(b"moov") < data.find(b"mdat")
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert stream.average_rate == Fraction(30)
        assert stream.frames == 20
        assert (stream.codec_context.colorspace, stream.codec_context.color_range) == (1, 1)
        assert container.duration is not None
        assert container.duration / av.time_base == pytest.approx(20 / 30, abs=0.002)


def test_colours_survive(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    colours = [(200, 40, 60), (30, 180, 90), (20, 60, 220), (128, 128, 128), (250, 240, 20)]
    with VideoWriter(path, 64, 48, 25, encoding=Encoding(crf=4)) as video:
        for colour in colours:
            video.write(np.full((48, 64, 3), colour, np.uint8))
    for frame, colour in zip(VideoReader(path, exact_colour=True), colours, strict=True):
        assert abs(frame.image.astype(int) - colour).max() <= 4


@pytest.mark.parametrize(("width", "height"), [(65, 47), (64, 47), (65, 48), (1, 1), (17, 3)])
def test_odd_sizes_repeat_the_last_column_or_row(tmp_path: Path, width: int, height: int) -> None:
    path = tmp_path / "out.mp4"
    image = np.full((height, width, 3), 90, np.uint8)
    image[:, -1] = 200
    with VideoWriter(path, width, height, 25, encoding=Encoding(crf=2)) as video:
        size = video.encoded_width, video.encoded_height
        for _ in range(3):
            video.write(image)
    assert size == (width + width % 2, height + height % 2)
    frame = next(iter(VideoReader(path, exact_colour=True)))
    assert (frame.width, frame.height) == size
    if width > 1:
        assert abs(frame.image[: max(height - 1, 1), width - 1 :].astype(int).mean() - 200) < 15


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".mov", ".avi"])
def test_containers(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"out{suffix}"
    with VideoWriter(path, 64, 48, 25) as video:
        for place in range(8):
            video.write(picture(place, 64, 48))
    assert len(list(VideoReader(path))) == 8


@pytest.mark.parametrize("rate", [24, 29.97, Fraction(30000, 1001), 60, 0.5, 1000])
def test_times_are_generated(tmp_path: Path, rate: Any) -> None:
    path = tmp_path / "out.mp4"
    with VideoWriter(path, 64, 48, rate) as video:
        for place in range(7):
            video.write(picture(place, 64, 48))
        exact = video.rate
    found = list(VideoReader(path))
    assert [frame.pts * frame.time_base for frame in found] == [place / exact for place in range(7)]


@pytest.mark.parametrize(
    ("time_base", "pts"),
    [
        (Fraction(1, 1000), [0, 40, 45, 200, 1000]),
        (Fraction(1, 12288), [512, 1024, 2048, 5000, 7000]),
        (Fraction(1, 90000), [3003, 6006, 90000, 90001, 180000]),
        (Fraction(1001, 30000), [3, 4, 8, 9, 10]),
    ],
)
def test_given_times_are_exact(tmp_path: Path, time_base: Fraction, pts: list[int]) -> None:
    path = tmp_path / "out.mp4"
    with VideoWriter(path, 64, 48, Fraction(30000, 1001), time_base=time_base) as video:
        for place, tick in enumerate(pts):
            video.write(picture(place, 64, 48), tick)
        video.write(picture(9, 64, 48))  # and one frame later
    step = round(Fraction(1001, 30000) / time_base)
    found = list(VideoReader(path))
    assert [frame.pts * frame.time_base / time_base for frame in found] == [*pts, pts[-1] + step]
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.duration is not None
        assert stream.time_base is not None
        shown = float(stream.duration * stream.time_base)
        assert shown == pytest.approx(float((pts[-1] + 2 * step - pts[0]) * time_base), abs=0.05)


def test_generated_times_do_not_drift(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    rate = Fraction(30000, 1001)
    with VideoWriter(path, 64, 48, rate, time_base=Fraction(1, 1000)) as video:
        for _ in range(100):
            video.write(picture(0, 64, 48))
    last = list(VideoReader(path))[-1]
    assert last.seconds == pytest.approx(99 / rate, abs=0.0006)


@pytest.mark.parametrize("pts", [5, 4, -1])
def test_times_must_increase(tmp_path: Path, pts: int) -> None:
    with VideoWriter(tmp_path / "out.mp4", 64, 48, 25) as video:
        video.write(picture(0, 64, 48), 5)
        with pytest.raises(FrameError, match=f"pts {pts} came after pts 5"):
            video.write(picture(1, 64, 48), pts)


def test_the_size_may_not_change(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "out.mp4", 64, 48, 25) as video:
        video.write(picture(0, 64, 48))
        with pytest.raises(FrameError, match=r"66 x 48 pixels came for a video of 64 x 48"):
            video.write(picture(1, 66, 48))
        with pytest.raises(FrameError, match="type float32"):
            video.write(np.zeros((48, 64, 3), np.float32))
    assert len(list(VideoReader(tmp_path / "out.mp4"))) == 1


def test_strided_images(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    image = picture(3, 128, 96)[::2, ::2, :1].repeat(3, axis=2)
    image = np.repeat(image, 2, axis=1)[:, ::2]
    with VideoWriter(path, 64, 48, 25, encoding=Encoding(crf=2)) as video:
        video.write(image)
        video.write(np.asfortranarray(image))
    for frame in VideoReader(path, exact_colour=True):
        assert abs(frame.image.astype(int) - image).mean() < 3


def test_an_error_leaves_the_older_file(tmp_path: Path) -> None:
    path = tmp_path / "out.mp4"
    path.write_bytes(b"older")

    def stop_half_way() -> None:
        with video:
            video.write(picture(0, 64, 48))
            raise RuntimeError("stop")

    video = VideoWriter(path, 64, 48, 25)
    with pytest.raises(RuntimeError, match="stop"):
        stop_half_way()
    assert path.read_bytes() == b"older"
    assert left_behind(tmp_path) == ["out.mp4"]
    with pytest.raises(VideoWriteError, match="closed"):
        video.write(picture(0, 64, 48))


def test_a_video_of_no_frames_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(VideoWriteError, match="No frame"), VideoWriter(tmp_path / "out.mp4", 64, 48, 25):
        pass
    assert left_behind(tmp_path) == []


def test_closing_twice(tmp_path: Path) -> None:
    video = VideoWriter(tmp_path / "out.mp4", 64, 48, 25)
    video.write(picture(0, 64, 48))
    video.close()
    video.close()
    video.discard()
    assert left_behind(tmp_path) == ["out.mp4"]


def test_targets_that_cannot_be(tmp_path: Path) -> None:
    for path, words in (
        (tmp_path / "no" / "out.mp4", "there is no folder"),
        (tmp_path, "it is a folder"),
    ):
        with pytest.raises(VideoWriteError, match=words):
            VideoWriter(path, 64, 48, 25)
    for path, encoding, words in (
        (tmp_path / "out.xyz", Encoding(), "suffix '.xyz', which no container has"),
        (tmp_path / "out", Encoding(), "suffix '', which no container has"),
        (tmp_path / "out.webm", Encoding("libx264"), "webm cannot hold video of libx264.*--codec libvpx-vp9"),
        (tmp_path / "out.mkv", Encoding("prores_ks", preset="fast"), "prores_ks has no preset"),
        (tmp_path / "out.mkv", Encoding("libx264", preset="fats"), "libx264 has no preset .fats."),
        (tmp_path / "out.mkv", Encoding("libsvtav1", preset="99"), "libsvtav1 cannot be opened for 64x48"),
        (tmp_path / "out.mkv", Encoding("libx264", pixel_format="rgb24"), "does not take the pixel format"),
        (tmp_path / "out.mkv", Encoding("h264_vaapi"), "built without that hardware"),
    ):
        with pytest.raises(OptionError, match=words):
            VideoWriter(path, 64, 48, 25, encoding=encoding)
    assert left_behind(tmp_path) == []


@pytest.mark.parametrize(
    "change",
    [
        {"width": 0},
        {"height": -2},
        {"rate": 0},
        {"rate": float("nan")},
        {"rate": float("inf")},
        {"time_base": Fraction(-1, 5)},
        {"encoding": Encoding("nothing")},
        {"encoding": Encoding("aac")},
        {"encoding": Encoding("ffv1", crf=18)},
        {"encoding": Encoding(crf=18, bitrate=1_000_000)},
        {"encoding": Encoding(crf=99)},
        {"encoding": Encoding(crf=-1)},
    ],
)
def test_impossible_options(tmp_path: Path, change: dict[str, Any]) -> None:
    with pytest.raises(OptionError):
        VideoWriter(tmp_path / "out.mp4", **{"width": 64, "height": 48, "rate": 25, **change})
    assert left_behind(tmp_path) == []


def test_other_codecs(tmp_path: Path) -> None:
    for codec, suffix in (("ffv1", ".mkv"), ("mpeg4", ".mp4")):
        path = tmp_path / f"out{suffix}"
        with VideoWriter(path, 64, 48, 25, encoding=Encoding(codec)) as video:
            video.write(picture(0, 64, 48))
        assert len(list(VideoReader(path))) == 1


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Let no file of this process grow past ``size`` bytes: as a full disk, but for everyone."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.parametrize("size", [100, 4_000, 40_000])
def test_a_full_disk(tmp_path: Path, size: int) -> None:
    path = tmp_path / "out.mp4"
    path.write_bytes(b"older")

    def write() -> None:
        with largest_file(size), VideoWriter(path, 320, 240, 25, encoding=Encoding(crf=1)) as video:
            for place in range(30):
                video.write(picture(place, 320, 240))

    with pytest.raises(VideoWriteError, match="too large"):
        write()
    assert path.read_bytes() == b"older"
    assert left_behind(tmp_path) == ["out.mp4"]
