"""Files as people have them: for each, what ffprobe says of the output beside what it says of the source."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from framestate.bundles import Bundle
from typer.testing import Result

from .ffprobe import TICK, View, have_ffprobe, view

pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(not have_ffprobe(), reason="ffprobe is not installed: apt-get install ffmpeg"),
]
Report = Callable[..., dict[str, Any]]
FRAME = 0.041  # seconds at 25 a second: what sound may begin or end apart from the pictures


@dataclass(frozen=True)
class Row:
    """One input, one output, and where they may differ.

    Attributes:
        file: in shared/data/files.
        out: suffix of the output.
        options: of the command.
        starts_at_0: the source's clock starts elsewhere, and the output's at 0.
        codecs: of sound and subtitles in the output, where they are not the source's.
        lost: kinds of streams that the output has fewer of, each with a note or as asked for.
        slow: how many times longer it lasts.
        lasts: seconds, where the source's container does not tell.
        said: what the notes say, in part.
    """

    file: str
    out: str
    options: tuple[str, ...] = ()
    starts_at_0: bool = False
    codecs: tuple[str, ...] | None = None
    lost: tuple[str, ...] = ()
    slow: int = 1
    lasts: float | None = None
    said: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return " ".join((self.file, self.out, *self.options))


ROWS = [
    # 1: streams that their own container held
    Row("au_dts.mkv", ".mkv"),
    Row("au_wma.mkv", ".mkv"),
    Row("cam.mkv", ".mkv"),
    Row("cam.mkv", ".mov"),
    Row("pgs.mkv", ".mkv"),
    # 2: what a container refuses is known before the first frame, or written so that it does not
    Row("st.mkv", ".mp4"),
    Row("st.mkv", ".mkv"),
    # 3, 4: clocks
    Row("h25.ts", ".mp4", starts_at_0=True),
    Row("h25.ts", ".ts", starts_at_0=True),
    Row("h25.ts", ".mkv", starts_at_0=True),
    Row("jumpback.ts", ".mp4", starts_at_0=True, lasts=2.42, said=("start again at 1.221 s",)),
    Row("jumpback.ts", ".mkv", starts_at_0=True, lasts=2.42, said=("start again at 1.221 s",)),
    # 5: the last frame's own duration
    Row("longlast.gif", ".mp4"),
    Row("longlast.gif", ".gif"),
    Row("one.mp4", ".mp4"),
    Row("one.mp4", ".mkv"),
    Row("screen.mp4", ".mp4"),
    Row("screen.mp4", ".mkv"),
    # 6: orientation and aspect
    Row("hflip.mp4", ".mp4"),
    Row("rotsar.mp4", ".mp4"),
    Row("seirot.mp4", ".mp4"),
    Row("sar43.mp4", ".mp4"),
    Row("sar43.mp4", ".mkv"),
    # 9: chapters stretched below 0
    Row("chap.mkv", ".mkv", ("--slow-motion", "2"), slow=2, lost=("audio",), said=("audio stream 1",)),
    Row("chap.mkv", ".mkv"),
    Row("chap.mkv", ".mp4"),
    # 10: damaged sound
    Row("lostpk.ts", ".mp4", starts_at_0=True),
    Row("lostpk.ts", ".mkv", starts_at_0=True),
    # 15: names, languages, flags, covers
    Row("rich.mkv", ".mkv"),
    Row(
        "rich.mkv", ".mp4", codecs=("aac", "ac3", "mov_text", "mov_text"),
        said=("turned into mov_text", "only .mkv holds attachments"),
    ),
    # 16: the stream that players show
    Row("angles.mkv", ".mkv", said=("video stream 0",)),
    # 18: what an edit list trims
    Row("editlist.mp4", ".mp4"),
    Row("editlist.mp4", ".mkv"),
    # 21: notes
    Row("trunc.mkv", ".mkv", lasts=0.34, said=("the file ends early",)),
    Row("inter.mp4", ".mp4", said=("interlaced frames were woven",)),
    Row("inter.mp4", ".mp4", ("--deinterlace", "off"), said=("the video is interlaced",)),
    Row("pr4444.mov", ".mp4", said=("transparency, which is dropped",)),
    Row("tmcd.mov", ".mov", said=("data stream 2",)),
    Row("tmcd.mov", ".mp4", said=("data stream 2",)),
    # 22: depth and HDR
    Row("pq.mp4", ".mp4"),
    Row("pq.mp4", ".mkv"),
    Row("hlg.mov", ".mov"),
    # 23, 24: other containers, opacity, duplicates
    Row("base.mp4", ".avi", ("--without", "audio"), lost=("audio",)),
    Row("up.mp4", ".webm"),
    Row("a.apng", ".mkv", lasts=0.6),
    Row("dup5.mp4", ".mp4", ("--dedup",), said=("6 frames that repeat",)),
    Row("clouds.mp4", ".mp4"),
    Row("c_hduntag.mp4", ".mp4"),
    # 25: text and sound in other forms
    Row("movtext.mp4", ".mkv", codecs=("subrip",), said=("turned into subrip",)),
    Row("movtext.mp4", ".mp4"),
    Row("base.mp4", ".mkv", ("--audio", "flac"), codecs=("flac",)),
    Row("base.mp4", ".mp4", ("--slow-motion", "3", "--audio", "aac"), slow=3),
]  # fmt: skip


@pytest.fixture
def model(tiny_interpolator: Bundle) -> tuple[str, ...]:
    return ("--model", str(tiny_interpolator.path), "--threads", "1")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_the_output_beside_its_source(
    report: Report, model: tuple[str, ...], shared_data: Path, work: Path, row: Row
) -> None:
    source, target = shared_data / "files" / row.file, work / f"out{row.out}"
    found = report("interpolate", source, target, *row.options, *model)
    notes = " | ".join(found["notes"])
    assert all(words in notes for words in row.said), notes
    compare(view(source), view(target), row)
    assert [path.name for path in work.iterdir()] == [target.name]


def compare(given: View, made: View, row: Row) -> None:
    """Times, durations, streams, tags, dispositions, orientation, aspect and colours."""
    origin = given.start if row.starts_at_0 else 0.0
    assert made.start == pytest.approx(0, abs=FRAME)
    assert made.begins == pytest.approx(given.begins - origin, abs=FRAME)
    lasts = row.lasts or given.ends - origin
    begins = given.begins - origin
    assert made.ends == pytest.approx(begins + row.slow * (lasts - begins), abs=2 * FRAME)
    if row.out == ".mp4" and not made.all("audio"):
        assert made.duration == pytest.approx(made.ends - made.start, abs=TICK)  # no longer than its packets

    shown, source = made.video, given.video
    assert shown.turned == 0
    if source.shape and shown.size != source.size:
        assert shown.size == source.size[::-1]
    assert float(shown.shape) == pytest.approx(float(source.shape), rel=0.02) or "seirot" in row.file
    if "rgb" not in source.pixels and "bgr" not in source.pixels:
        # Limited range is what is meant where nothing is said.
        unsaid = {"unknown": "tv"}
        assert (unsaid.get(shown.colour[0], shown.colour[0]), *shown.colour[1:]) == (
            unsaid.get(source.colour[0], source.colour[0]), *source.colour[1:]
        )  # fmt: skip
    assert ("10" in shown.pixels or "12" in shown.pixels) == ("10" in source.pixels or "12" in source.pixels)
    assert (shown.tags, shown.default) == (
        {key: value for key, value in source.tags.items() if row.out == ".mkv" or key == "language"},
        (source.default or row.out in (".mp4", ".mov")) and row.out not in (".avi", ".ts", ".gif"),
    )

    for kind in ("audio", "subtitle"):
        others, theirs = made.all(kind), given.all(kind)
        if kind in row.lost:
            assert others == []
            continue
        assert [one.default for one in others] == [one.default or row.out == ".mp4" for one in theirs] or (
            row.out in (".mp4", ".mov", ".ts")
        )
        languages = [one.tags.get("language") for one in theirs]
        assert [one.tags.get("language") for one in others] == languages
        for one, other in zip(others, theirs, strict=True):
            if kind == "audio" and one.start is not None and other.start is not None:
                assert one.start - made.begins == pytest.approx(other.start - given.begins, abs=FRAME)
    kept = [
        one.codec for one in given.streams if one.kind in ("audio", "subtitle") and one.kind not in row.lost
    ]
    got = [one.codec for one in made.streams if one.kind in ("audio", "subtitle")]
    assert got == list(row.codecs or kept)
    if row.out in (".mkv", ".mp4", ".mov"):
        assert sum(one.is_cover for one in made.streams) == sum(one.is_cover for one in given.streams)
        assert made.chapters == given.chapters


REFUSED = [
    ("pgs.mkv", ".mp4", (), ("subtitle stream 2 (hdmv_pgs_subtitle)", "mp4", "--without subtitle")),
    ("cam.mkv", ".mp4", (), ("audio stream 1 (pcm_alaw", "mp4", "--audio aac", "--without audio")),
    ("st.mkv", ".ts", (), ("audio stream 1 (pcm_s16le", "mpegts", "--without audio")),
    ("h25.ts", ".avi", (), ("audio stream 1 (aac", "avi", "--without audio")),
    ("base.mp4", ".gif", (), ("audio stream 1 (aac", "gif", "--without audio")),
    ("base.mp4", ".webm", ("--codec", "libx264", "--without", "audio"), ("libx264", "webm", "libvpx-vp9")),
    ("base.mp4", ".mp4", ("--codec", "prores_ks"), ("prores_ks", "mp4")),
    ("base.mp4", ".mp4", ("--preset", "fats"), ("libx264 has no preset 'fats'", "veryfast")),
    ("base.mp4", ".mp4", ("--codec", "ffv1", "--preset", "slow"), ("ffv1 has no preset",)),
    ("base.mp4", ".mp4", ("--pix-fmt", "rgb24"), ("libx264 does not take the pixel format 'rgb24'",)),
    ("base.mp4", ".mp4", ("--codec", "hevc_vaapi"), ("'hevc_vaapi'", "libx265")),
    ("base.mp4", ".mp4", ("--audio", "nope"), ("no audio encoder 'nope'",)),
    ("base.mp4", ".mp4", ("--stream", "1"), ("no video stream 1", "0 (320x240 h264)")),
]


@pytest.mark.parametrize(("file", "suffix", "options", "said"), REFUSED, ids=lambda value: str(value)[:40])
def test_what_cannot_be_is_named_before_any_work(
    refused: Callable[..., str],
    model: tuple[str, ...],
    shared_data: Path,
    work: Path,
    file: str,
    suffix: str,
    options: tuple[str, ...],
    said: tuple[str, ...],
) -> None:
    line = refused("interpolate", shared_data / "files" / file, f"out{suffix}", *options, *model)
    assert all(words in line for words in said), line
    assert list(work.iterdir()) == []


REAL = (
    "anamorphic_sar.mp4", "animated.gif", "av1.mkv", "av1.mp4", "bbb_2500ms.ts", "bt2020_10bit.mp4",
    "bt601_full_range.mp4", "bt601_limited_range.mp4", "cinepak.avi", "discard_first_keyframe.mp4",
    "fragmented.mp4", "gopro_max_gpmd_2s.mp4", "gradient.gif", "h264_10bit.mp4", "h264_no_aud.ts", "h265.ts",
    "hdr10_mdcv_clli.mp4", "hdr10_stream_sdr_container.mp4", "hdr_nasa_10bit.mp4",
    "hevc_with_metadata_track.mp4", "huffyuv.avi", "indeo.avi", "mdat_too_long.mp4", "mpeg2.ts",
    "non_zero_start.mp4", "phone_portrait_4k60_rotated.mp4", "raw_rgba.avi", "rotate_metadata_screen.mp4",
    "rotated_nasa.mp4", "sample.avi", "sample.flv", "samsung_sef_slow_motion.mp4", "screen_terminal_rich.gif",
    "screen_terminal_tqdm.gif", "testsrc2_12bit_hdr.mp4", "testsrc2_444_12bit_hevc.mp4",
    "testvid_1022ms.mp4", "transparent.gif", "vfr_goldeneye_drop3.mp4", "video_not_seekable.ts",
    "vp9_10bit.webm",
)  # fmt: skip


@pytest.mark.long
@pytest.mark.parametrize("name", REAL)
def test_real_files_go_on_working(
    report: Report, model: tuple[str, ...], shared_data: Path, work: Path, name: str
) -> None:
    source = shared_data / "files_real" / name
    if not source.is_file():
        pytest.skip("the files out of public test suites are not here")
    report("interpolate", source, "out.mkv", *model)
    given, made = view(source), view(work / "out.mkv")
    origin = given.start if source.suffix == ".ts" or given.start >= 1 else 0.0
    assert made.start == pytest.approx(given.start - origin, abs=FRAME)
    assert made.ends - made.begins == pytest.approx(given.ends - given.begins, abs=4 * FRAME)
    assert made.begins == pytest.approx(max(given.begins - origin, 0), abs=2 * FRAME)
    assert made.video.turned == 0
    assert float(made.video.shape) == pytest.approx(float(given.video.shape), rel=0.03)
    assert len(made.all("audio")) == len(given.all("audio"))


def test_a_file_of_which_nothing_decodes_is_refused(
    invoke: Callable[..., Result], model: tuple[str, ...], shared_data: Path, work: Path
) -> None:
    source = shared_data / "files_real" / "vp9_invalid_bitstream.webm"
    if not source.is_file():
        pytest.skip("the files out of public test suites are not here")
    result = invoke("interpolate", source, "out.mkv", *model)
    assert result.exit_code == 2
    assert "decodes" in result.stderr
    assert not (work / "out.mkv").exists()


def test_a_pipe_in_and_a_pipe_out(shared_data: Path, command: list[str], model: tuple[str, ...]) -> None:
    import subprocess

    data = (shared_data / "files" / "base.mp4").read_bytes()
    made = subprocess.run([*command, "interpolate", "-", "-", *model], input=data, capture_output=True)
    assert made.returncode == 0, made.stderr
    seen = subprocess.run(
        ["ffprobe", "-v", "error", "-show_entries", "stream=codec_name", "-of", "csv=p=0", "-"],
        input=made.stdout, capture_output=True,
    )  # fmt: skip
    assert seen.stdout.split() == [b"h264", b"aac"]
    assert b"wrote -" in made.stderr


def test_the_result_for_people_names_what_was_left(
    invoke: Callable[..., Result], model: tuple[str, ...], shared_data: Path
) -> None:
    result = invoke("interpolate", shared_data / "files" / "tmcd.mov", "out.mov", *model)
    assert "note: data stream 2" in result.stderr


TRACKED = [
    ("sar43.mp4", ".mp4", ()),
    ("rotsar.mp4", ".mp4", ()),
    ("base.mp4", ".mkv", ()),
    ("cam.mkv", ".mkv", ()),
    ("cam.mkv", ".mp4", ("(pcm_alaw, 1 channels), which mp4 cannot hold as it is: it is left out",)),
    ("angles.mkv", ".mkv", ()),
    ("rich.mkv", ".mkv", ()),
    ("jumpback.ts", ".mp4", ("start again",)),
    ("h25.ts", ".mp4", ()),
    ("hlg.mov", ".mov", ()),
    ("pq.mp4", ".mp4", ()),
    ("c_hduntag.mp4", ".mp4", ()),
    ("longlast.gif", ".mp4", ()),
    ("trunc.mkv", ".mkv", ("ends early",)),
    ("pr4444.mov", ".mov", ("transparency",)),
]  # fmt: skip


@pytest.mark.parametrize(("file", "suffix", "said"), TRACKED, ids=lambda value: str(value)[:30])
def test_an_annotated_video_beside_its_source(
    report: Report, shared_data: Path, work: Path, file: str, suffix: str, said: tuple[str, ...]
) -> None:
    source, target = shared_data / "files" / file, work / f"out{suffix}"
    found = report("track", source, "--box", "100,80,60,50", "--out", target, "--threads", 1)
    notes = " | ".join(found["notes"])
    assert all(words in notes for words in said), notes
    row = Row(
        file, suffix, starts_at_0=file.endswith(".ts"), lost=("audio",) if "left out" in notes else (),
        lasts={"jumpback.ts": 2.42, "trunc.mkv": 0.34}.get(file),
    )  # fmt: skip
    compare(view(source), view(target), row)


def test_part_of_a_video_is_tracked_with_its_sound(
    report: Report, refused: Callable[..., str], shared_data: Path, work: Path
) -> None:
    source = shared_data / "files" / "base.mp4"
    box = ("--box", "100,80,60,50", "--threads", 1)
    report("track", source, *box, "--start", "0.4", "--end", "20f", "--out", "o.mp4", "--boxes", "b.csv")
    lines = (work / "b.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in lines[1:]] == [str(frame) for frame in range(10, 20)]
    assert lines[1].split(",")[2] == "0.400000"
    made = view(work / "o.mp4")
    assert (made.begins, made.frames) == (0, 10)
    assert made.ends == pytest.approx(0.4, abs=0.001)
    assert made.duration == pytest.approx(0.4, abs=0.05)
    report("track", source, *box, "--every", 3, "--boxes", "c.csv")
    lines = (work / "c.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in lines[1:]] == [str(frame) for frame in range(0, 30, 3)]
    assert "no frame from --start" in refused("track", source, *box, "--start", "1:00")
    assert "--end is 'soon'" in refused("track", source, *box, "--end", "soon")


def test_what_systems_leave_in_folders_is_no_frame(
    report: Report, model: tuple[str, ...], shared_data: Path, work: Path
) -> None:
    found = report("interpolate", shared_data / "files" / "mac", "o.mp4", "--image-rate", "23.976", *model)
    assert (found["frames_in"], found["broken_packets"]) == (4, 0)
    assert view(work / "o.mp4").ends == pytest.approx(4 * 1001 / 24000, abs=0.001)
    report("interpolate", shared_data / "files" / "mac" / "f%d.png", "f_%03d.png", *model)
    assert len(list(work.glob("f_*.png"))) == 7


def test_faint_motion_is_made_and_duplicates_are_not(
    report: Report, model: tuple[str, ...], shared_data: Path
) -> None:
    found = report("interpolate", shared_data / "files" / "clouds.mp4", "o.mp4", *model)
    assert (found["duplicates"], found["frames_made"]) == (0, 24)
    found = report("interpolate", shared_data / "files" / "dup5.mp4", "o.mp4", *model)
    assert (found["duplicates"], found["frames_made"]) == (6, 23)
    found = report("interpolate", shared_data / "files" / "dup5.mp4", "o.mp4", "--no-duplicates", *model)
    assert (found["duplicates"], found["frames_made"]) == (0, 29)
    found = report("interpolate", shared_data / "files" / "dup5.mp4", "o.mp4", "--dedup", *model)
    assert (found["frames_in"], found["duplicates"], found["fps_out"]) == (24, 0, 50)
