"""Files as people have them, interpolated: what ffprobe says of each output beside its source."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import Result

from .beside import Row, compare
from .ffprobe import have_ffprobe, view

pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(not have_ffprobe(), reason="ffprobe is not installed: apt-get install ffmpeg"),
]
Report = Callable[..., dict[str, Any]]


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
    Row("tmcd.mov", ".mov"),
    Row("tmcd.mov", ".mp4"),
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
    result = invoke("interpolate", shared_data / "files" / "angles.mkv", "out.mkv", *model)
    assert "note: video stream 0" in result.stderr


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
