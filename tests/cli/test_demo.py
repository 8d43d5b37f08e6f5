"""``framestate demo``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from framestate.cli.demo_tracking import sheet_frames
from framestate.vision import VideoReader, decode_image
from typer.testing import Result

Report = Callable[..., dict[str, Any]]
ONE = ("--threads", 1)


def test_the_demo(report: Report, work: Path) -> None:
    found = report("demo", "--out", work / "new" / "folder", "--frames", 6, *ONE)
    assert set(found) >= {"runtime", "device", "track", "interpolate", "outputs"}
    assert found["track"]["frames"] == 6
    assert found["track"]["fps"] > 0
    assert 0 <= found["track"]["mean_iou"] <= 1
    assert 0 <= found["track"]["lost_frames"] <= 5
    assert found["interpolate"]["frames"] == 5
    assert found["interpolate"]["fps"] > 0
    assert found["interpolate"]["psnr_db"] > 10
    assert 20 < found["interpolate"]["blend_psnr_db"] < 50
    assert [Path(path).name for path in found["outputs"]] == ["demo_tracked.mp4", "demo_2x.mp4", "demo.png"]
    video, twice, sheet = map(Path, found["outputs"])
    for path, count in ((video, 6), (twice, 11)):
        with VideoReader(path) as frames:
            assert len(list(frames)) == count
    assert decode_image(sheet.read_bytes()).shape[1] > 1000
    assert sorted(sheet.parent.iterdir()) == sorted([video, twice, sheet])


def test_for_people(invoke: Callable[..., Result], work: Path) -> None:
    result = invoke("demo", "--frames", 2, *ONE)
    assert result.exit_code == 0
    assert "mean IoU" in result.stdout
    assert "PSNR" in result.stdout
    assert sorted(path.name for path in work.iterdir()) == ["demo.png", "demo_2x.mp4", "demo_tracked.mp4"]


def test_only_the_clip(report: Report, invoke: Callable[..., Result], work: Path) -> None:
    found = report("demo", "--clip", "--frames", 3)
    assert found["outputs"] == ["clip.mp4"]
    with VideoReader(work / "clip.mp4") as frames:
        assert len(list(frames)) == 3
    again = invoke("demo", "--clip", "--frames", 2)
    assert again.exit_code == 0
    assert "left as it is" in again.stderr
    assert f"framestate track clip.mp4 --box {found['box']}" in again.stdout
    with VideoReader(work / "clip.mp4") as frames:
        assert len(list(frames)) == 3, "a file of that name is kept"
    followed = report("track", "clip.mp4", "--box", found["box"], "--boxes", "boxes.csv", *ONE)
    assert followed["frames"] == 3
    assert followed["targets"][0]["lost_frames"] == 0


def test_a_folder_that_cannot_be_made(refused: Callable[..., str], work: Path) -> None:
    (work / "file").touch()
    assert "--out file/demo cannot be made" in refused("demo", "--out", "file/demo")


def test_an_unknown_model_leaves_nothing(refused: Callable[..., str], work: Path) -> None:
    assert "'nope'" in refused("demo", "--model", "nope")
    assert "'none'" in refused("demo", "--interpolator", "none", "--frames", 2)
    assert list(work.iterdir()) == []


def test_the_sheet_shows_where_the_target_is_hidden() -> None:
    visible = [1.0] * 60
    visible[31] = 0.1
    assert sheet_frames(visible) == {0, 12, 24, 31, 47, 59}
    assert sheet_frames([1.0, 0.5]) == {0, 1}


@pytest.mark.slow
def test_the_demo_follows_the_koi(report: Report) -> None:
    """The tracker that ships has to be good for something; it needs its real weights."""
    assert report("demo", *ONE)["track"]["mean_iou"] > 0.4


@pytest.mark.slow
def test_the_demo_makes_better_frames_than_a_blend(report: Report) -> None:
    """The interpolator that ships has to be good for something; it needs its real weights."""
    found = report("demo", "--frames", 20, *ONE)["interpolate"]
    assert found["psnr_db"] > found["blend_psnr_db"] + 1
