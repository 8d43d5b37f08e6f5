"""Whole files: exact times, nothing blended at a cut, every other track as it was, nothing half-written."""

from __future__ import annotations

import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from framestate.engine import (
    Engine,
    InterpolationOptions,
    OutputOptions,
    VideoRun,
    expected_frames,
    interpolate_video,
)
from framestate.errors import FrameError, OptionError, StepError, VideoError, VideoWriteError
from framestate.vision import Encoding, Image, Look, Passengers, VideoReader, VideoWriter

from .conftest import Counting
from .streams import CHAPTERS, TEXTS, about, packets, times, write_rich

Pictures = Callable[..., Image]
UNEVEN = [0, 40, 80, 133, 200, 300, 302, 400, 500, 620]
"""Milliseconds. Frames 3 and 4 are duplicates, between 6 and 7 is a cut."""


@pytest.fixture
def images(picture: Pictures) -> list[Image]:
    first = [picture(3 * step, size=(64, 96)) for step in (0, 1, 2, 3, 3, 4, 5)]
    return first + [picture(3 * step, scene=1, size=(64, 96)) for step in range(3)]


def convert(
    engine: Engine, source: Path, target: Path, without: tuple[str, ...] = (), **options: object
) -> VideoRun:
    wanted = InterpolationOptions.of(**options)  # type: ignore[arg-type]
    with (
        VideoReader(source, exact_colour=True) as reader,
        engine.open(options=wanted) as session,
    ):
        shown: list[int] = []
        run = interpolate_video(
            session, reader, target, OutputOptions(Encoding(crf=4), without), lambda: shown.append(1)
        )
        assert len(shown) == run.counts.frames_out
    return run


def pictures(path: Path) -> list[Image]:
    with VideoReader(path, exact_colour=True) as reader:
        return [frame.image for frame in reader]


def difference(one: Image, other: Image) -> float:
    return float(np.abs(one.astype(int) - other).mean())


@pytest.mark.parametrize("suffix", [".mkv", ".mp4"])
def test_a_clip_with_everything(engine: Engine, images: list[Image], tmp_path: Path, suffix: str) -> None:
    source = write_rich(tmp_path / f"in{suffix}", images, UNEVEN)
    target = tmp_path / f"out{suffix}"
    run = convert(engine, source, target, factor=2)
    assert (run.counts.frames_in, run.counts.frames_out) == (10, 19)
    assert (run.counts.scene_cuts, run.counts.duplicates, run.counts.made) == (1, 1, 7)

    exact = [Fraction(time, 1000) for time in UNEVEN]
    middles = [(one + other) / 2 for one, other in pairwise(exact)]
    found = times(target)
    tolerance = Fraction(1, 2000) if suffix == ".mkv" else 0  # Matroska counts milliseconds
    assert all(abs(time - truth) <= tolerance for time, truth in zip(found[1::2], middles, strict=True))
    assert found[::2] == exact

    shown, given = pictures(target), pictures(source)
    for place, image in enumerate(given):
        assert difference(shown[2 * place], image) < 4
        assert abs(np.mean(shown[2 * place].astype(float) - image)) < 0.4  # no drift of colours
    assert difference(shown[13], given[6]) < 4  # at the cut: the frame before it, and not a blend
    assert difference(shown[7], given[3]) < 4  # between duplicates
    assert difference(given[6], given[7]) > 40

    for kind in ("audio", "subtitle"):
        assert packets(target, kind) == packets(source, kind)
    assert run.streams == 2
    assert about(target) == about(source)
    assert run.notes == []
    with VideoReader(source) as before, VideoReader(target) as after:
        assert after.look == before.look


def test_the_video_lasts_as_long_as_before(engine: Engine, images: list[Image], tmp_path: Path) -> None:
    even = [40 * place for place in range(len(images))]
    source = write_rich(tmp_path / "in.mp4", images, even, audio=False, subtitles=False)
    for options in ({"factor": 2}, {"factor": 2.5}, {"fps": 60}, {"fps": 24}):
        target = tmp_path / "out.mp4"
        convert(engine, source, target, **options)
        packet = packets(target, "video")
        assert abs(packet[-1][1] + packet[-1][2] - Fraction(4, 10)) <= Fraction(1, 48), options
        with VideoReader(source) as reader:
            expected = expected_frames(reader, InterpolationOptions.of(**options))
        assert expected is not None
        assert abs(expected - len(packet)) <= 1


def test_slow_motion_stretches_subtitles_and_leaves_the_sound(
    engine: Engine, images: list[Image], tmp_path: Path
) -> None:
    source = write_rich(tmp_path / "in.mkv", images, UNEVEN)
    run = convert(engine, source, tmp_path / "out.mkv", slow_motion=2)
    assert times(tmp_path / "out.mkv")[::2] == [Fraction(2 * time, 1000) for time in UNEVEN]
    words = [(text.decode(), 1000 * a, 1000 * b) for text, a, b in packets(tmp_path / "out.mkv", "subtitle")]
    assert words == [(text, Fraction(2 * start), Fraction(2 * lasts)) for text, start, lasts in TEXTS]
    chapters = about(tmp_path / "out.mkv")["chapters"]
    assert chapters == [(name, Fraction(2 * a, 1000), Fraction(2 * b, 1000)) for name, a, b in CHAPTERS]
    assert about(tmp_path / "out.mkv")["languages"] == ["deu"]
    assert any("audio stream 1: it cannot be stretched" in note for note in run.notes)


def test_streams_can_be_left_out_and_must_fit(engine: Engine, images: list[Image], tmp_path: Path) -> None:
    source = write_rich(tmp_path / "in.mkv", images, UNEVEN)
    with pytest.raises(OptionError, match=r"subrip.*avi.*--without subtitle"):
        convert(engine, source, tmp_path / "out.avi")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mkv"]
    run = convert(engine, source, tmp_path / "out.mp4", without=("subtitle",))
    assert run.streams == 1
    copied, given = packets(tmp_path / "out.mp4", "audio"), packets(source, "audio")
    assert [data for data, _, _ in copied] == [data for data, _, _ in given]
    assert all(abs(one[1] - other[1]) < Fraction(1, 1000) for one, other in zip(copied, given, strict=True))
    with pytest.raises(OptionError, match="no kind of stream 'video'"):
        convert(engine, source, tmp_path / "out.mp4", without=("video",))


def test_ten_bits_become_eight_and_that_is_said(engine: Engine, images: list[Image], tmp_path: Path) -> None:
    source = write_rich(tmp_path / "in.mkv", images, UNEVEN, pixel_format="yuv420p10le")
    run = convert(engine, source, tmp_path / "out.mkv")
    assert any("10 bits" in note for note in run.notes)
    with VideoReader(tmp_path / "out.mkv") as reader:
        assert (reader.look.pixel_format, reader.look.bits) == ("yuv420p", 8)
    assert difference(pictures(tmp_path / "out.mkv")[0], pictures(source)[0]) < 4


@pytest.mark.parametrize(("transfer", "name"), [(16, "PQ"), (18, "HLG")])
def test_hdr_is_refused(
    engine: Engine, images: list[Image], tmp_path: Path, transfer: int, name: str
) -> None:
    source = write_rich(tmp_path / "in.mkv", images, UNEVEN, pixel_format="yuv420p10le", transfer=transfer)
    with pytest.raises(VideoError, match=name):
        convert(engine, source, tmp_path / "out.mkv")
    assert not (tmp_path / "out.mkv").exists()


@pytest.mark.parametrize(
    ("pixel_format", "kept"),
    [
        ("yuv444p", "yuv444p"),
        ("yuv422p", "yuv422p"),
        ("uyvy422", "yuv422p"),
        ("yuvj420p", "yuv420p"),
        ("rgb24", "yuv420p"),
        ("pal8", "yuv420p"),
        ("gray", "yuv420p"),
    ],
)
def test_chroma_is_kept_where_players_know_it(pixel_format: str, kept: str) -> None:
    look = Look(pixel_format, colour_range=2 if pixel_format == "yuvj420p" else 1).in_eight_bits
    assert Encoding().format_for("libx264", look.pixel_format) == kept
    assert look.stored_as(kept).colour_range == (2 if pixel_format == "yuvj420p" else 1)


@pytest.mark.parametrize("size", [(63, 97), (1, 1), (64, 33)])
def test_odd_sizes_and_folders_of_images(engine: Engine, tmp_path: Path, size: tuple[int, int]) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    rng = np.random.default_rng(0)
    image = rng.integers(100, 120, (*size, 3), dtype=np.uint8)
    for place in range(3):
        cv2.imwrite(str(folder / f"{place}.png"), image + np.uint8(9 * place))
    run = convert(engine, folder, tmp_path / "out.mp4")
    assert [time * 50 for time in times(tmp_path / "out.mp4")] == list(range(5))
    found = pictures(tmp_path / "out.mp4")[0].shape[:2]
    assert found == tuple(side + side % 2 for side in size)
    assert any("odd" in note for note in run.notes)


def test_one_frame(engine: Engine, images: list[Image], tmp_path: Path) -> None:
    source = write_rich(tmp_path / "in.mp4", images[:1], [0], audio=False)
    run = convert(engine, source, tmp_path / "out.mp4")
    assert (run.counts.frames_in, run.counts.frames_out) == (1, 1)
    assert len(pictures(tmp_path / "out.mp4")) == 1


def test_a_size_that_changes_ends_it_with_nothing_written(engine: Engine, tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    for place, width in enumerate((64, 64, 66)):
        cv2.imwrite(str(folder / f"{place}.png"), np.full((48, width, 3), 90 + place * 8, np.uint8))
    with pytest.raises(FrameError, match="66x48"):
        convert(engine, folder, tmp_path / "out.mp4")
    assert [path.name for path in tmp_path.iterdir()] == ["images"]


def test_a_model_that_fails_leaves_the_old_file(
    engine: Engine, counting: Counting, images: list[Image], tmp_path: Path
) -> None:
    source = write_rich(tmp_path / "in.mp4", images, UNEVEN)
    (tmp_path / "out.mp4").write_text("old")
    counting.fail = {"interpolate"}
    with pytest.raises(StepError):
        convert(engine, source, tmp_path / "out.mp4")
    assert (tmp_path / "out.mp4").read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.mp4", "out.mp4"]


@contextmanager
def disk_of(size: int) -> Iterator[None]:
    """Let no file grow beyond ``size`` bytes: writing fails then as it does on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)


def test_a_full_disk(engine: Engine, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, 256, (128, 192, 3), dtype=np.uint8) for _ in range(12)]
    source = write_rich(tmp_path / "in.mkv", noise, [40 * place for place in range(12)])
    with disk_of(60_000), pytest.raises(VideoWriteError, match="free space"):
        convert(engine, source, tmp_path / "out.mkv")
    assert [path.name for path in tmp_path.iterdir()] == ["in.mkv"]


def test_times_finer_than_a_container_counts(engine: Engine, images: list[Image], tmp_path: Path) -> None:
    tick = Fraction(1, 90_000)
    pts = [round(90 * time * 1.0001) for time in UNEVEN]
    source = write_rich(tmp_path / "in.mp4", images, pts, tick=tick, audio=False, subtitles=False)
    run = convert(engine, source, tmp_path / "out.mp4", factor=7)
    assert run.counts.frames_out == 7 * 9 + 1
    found = times(tmp_path / "out.mp4")
    assert found[::7] == [stamp * tick for stamp in pts]
    assert found[3] == 3 * pts[1] * tick / 7


def test_a_video_that_starts_below_zero_is_moved_with_all_it_carries(
    images: list[Image], tmp_path: Path
) -> None:
    source = write_rich(tmp_path / "in.mp4", images, UNEVEN)
    later = Fraction(3, 10)
    with (
        Passengers(source, shift=later) as passengers,
        VideoWriter(
            tmp_path / "out.mp4", 96, 64, 25, time_base=Fraction(1, 1000), passengers=passengers
        ) as video,
    ):
        for image, stamp in zip(images, UNEVEN, strict=True):
            video.write(image, stamp + 300)
    for kind in ("audio", "subtitle"):
        before = [
            one for one in packets(source, kind) if one[0] != b"\x00\x00"
        ]  # MP4 fills gaps between texts
        after = [one for one in packets(tmp_path / "out.mp4", kind) if one[0] != b"\x00\x00"]
        assert after == [(data, start + later, lasts) for data, start, lasts in before]
    assert about(tmp_path / "out.mp4")["chapters"][1][1] == Fraction(4, 10) + later


@pytest.mark.parametrize(
    ("pixel_format", "codec"), [("yuv420p", "libx264"), ("yuv422p", "ffv1"), ("yuv420p10le", "ffv1")]
)
def test_frames_of_the_source_are_stored_as_they_were(
    engine: Engine, images: list[Image], tmp_path: Path, pixel_format: str, codec: str
) -> None:
    """Not by way of RGB, which is not exact: with an encoder that loses nothing not a bit differs."""
    even = [40 * place for place in range(len(images))]
    source = write_rich(tmp_path / "in.mkv", images, even, audio=False, pixel_format=pixel_format)
    target = tmp_path / "out.mkv"
    encoding = Encoding(codec, crf=0 if codec == "libx264" else None)
    for keep in (True, False):
        with (
            VideoReader(source, exact_colour=True, deep=True, keep=keep) as reader,
            engine.open(options=InterpolationOptions.of(2)) as session,
        ):
            interpolate_video(session, reader, target, OutputOptions(encoding))
        before, after = planes(source), planes(target)
        assert len(after) == 2 * len(before) - 1
        same = [np.array_equal(*pair) for pair in zip(before, after[::2], strict=True)]
        assert all(same) if keep else not all(same)


def planes(path: Path) -> list[Any]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray() for frame in container.decode(video=0)]
