"""Files as people have them, tracked: the annotated video beside its source."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .beside import Row, compare
from .ffprobe import have_ffprobe, view

pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(not have_ffprobe(), reason="ffprobe is not installed: apt-get install ffmpeg"),
]
Report = Callable[..., dict[str, Any]]


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
