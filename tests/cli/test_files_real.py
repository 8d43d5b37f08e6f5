"""Files out of public test suites, interpolated."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .beside import FRAME
from .ffprobe import have_ffprobe, view

pytestmark = [
    pytest.mark.data,
    pytest.mark.skipif(not have_ffprobe(), reason="ffprobe is not installed: apt-get install ffmpeg"),
]
Report = Callable[..., dict[str, Any]]


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
