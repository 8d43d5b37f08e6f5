"""Files as people have them: what cannot be is named before any work."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import Result

from .ffprobe import have_ffprobe

pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(not have_ffprobe(), reason="ffprobe is not installed: apt-get install ffmpeg"),
]


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


@pytest.mark.parametrize("name", ["n" * 260 + ".mp4", "clip.mp4/o.mp4"])
def test_names_that_no_file_can_have(
    refused: Callable[..., str], work: Path, shared_data: Path, name: str
) -> None:
    source = shared_data / "files" / "one.mp4"
    (work / "clip.mp4").write_bytes(source.read_bytes())
    for arguments in (
        ("interpolate", source, name), ("interpolate", name, "o.mp4"),
        ("track", source, "--box", "1,1,9,9", "--out", name), ("track", name, "--box", "1,1,9,9"),
    ):  # fmt: skip
        assert len(refused(*arguments)) < 400
    assert [path.name for path in work.iterdir()] == ["clip.mp4"]


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
