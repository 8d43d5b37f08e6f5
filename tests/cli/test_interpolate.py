"""``framestate interpolate`` and ``framestate eval interpolation``."""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import pytest
from framestate.vision import VideoReader, VideoWriter
from typer.testing import Result

from .conftest import HEIGHT, WIDTH, MakeClip, picture

Report = Callable[..., dict[str, Any]]


def test_twice_the_frames(report: Report, make_clip: MakeClip, model: tuple[str, ...], work: Path) -> None:
    found = report("interpolate", make_clip(frames=5), "out.mp4", *model)
    assert set(found) >= {
        "runtime", "device", "frames_in", "frames_out", "fps_out", "scene_cuts", "duplicates", "peak_rss_mb",
        "seconds", "outputs",
    }  # fmt: skip
    assert (found["frames_in"], found["frames_out"], found["frames_made"]) == (5, 9, 4)
    assert found["fps_out"] == 50
    assert found["fps_made"] == pytest.approx(found["frames_made"] / found["seconds"])
    assert found["peak_rss_mb"] > 10
    with VideoReader(work / "out.mp4") as video:
        assert [frame.pts * video.time_base * 50 for frame in video] == list(range(9))
    assert [path.name for path in work.iterdir()] == ["out.mp4"]


@pytest.mark.parametrize(
    ("options", "frames", "rate"),
    [
        (("--factor", "5/2"), 11, 62.5),
        (("--fps", "60"), 11, 60),
        (("--slow-motion", "4"), 17, 25),
        (("--scale", "0.5", "--crf", "30", "--codec", "libx265"), 9, 50),
    ],
)
def test_options(
    report: Report,
    make_clip: MakeClip,
    model: tuple[str, ...],
    options: tuple[str, ...],
    frames: int,
    rate: float,
) -> None:
    found = report("interpolate", make_clip(frames=5), "out.mkv", *options, *model)
    assert (found["frames_out"], found["fps_out"]) == (frames, rate)


def test_for_people(
    invoke: Callable[..., Result], make_clip: MakeClip, model: tuple[str, ...], work: Path
) -> None:
    result = invoke("interpolate", make_clip(), "out.mp4", *model)
    assert result.exit_code == 0
    assert "scene cuts" in result.stdout
    assert "wrote out.mp4" in result.stdout


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--factor", "0.5"), "factor is 1/2"),
        (("--factor", "two"), "factor is 'two'"),
        (("--factor", "2", "--fps", "60"), "one rules out the other"),
        (("--fps", "0"), "fps is 0"),
        (("--slow-motion", "1e9"), "slow_motion is"),
        (("--scale", "0.3"), "scale is"),
        (("--codec", "nope"), "no video encoder 'nope'"),
        (("--without", "video"), "no kind of stream 'video'"),
        (("--model", "tracker-nano"), "for tracking"),
        (("--device", "tpu"), "--device tpu"),
    ],
)
def test_bad_options(
    refused: Callable[..., str],
    make_clip: MakeClip,
    model: tuple[str, ...],
    work: Path,
    options: tuple[str, ...],
    said: str,
) -> None:
    assert said in refused("interpolate", make_clip(), "out.mp4", *model, *options)
    assert list(work.iterdir()) == []


def test_bad_files(
    refused: Callable[..., str], make_clip: MakeClip, model: tuple[str, ...], work: Path
) -> None:
    clip = make_clip()
    before = clip.read_bytes()
    assert "would overwrite the input" in refused("interpolate", clip, clip, *model)
    (work / "link.mp4").symlink_to(clip)
    assert "would overwrite the input" in refused("interpolate", clip, "link.mp4", *model)
    assert clip.read_bytes() == before
    assert "suffix '.txt'" in refused("interpolate", clip, "out.txt", *model)
    assert "no folder nope" in refused("interpolate", clip, "nope/out.mp4", *model)
    assert "nope.mp4 does not exist" in refused("interpolate", "nope.mp4", "out.mp4", *model)
    (work / "text.mp4").write_text("no video")
    assert "text.mp4" in refused("interpolate", "text.mp4", "out.mp4", *model)
    assert not (work / "out.mp4").exists()


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_an_interrupted_run_leaves_nothing(
    start: Callable[..., subprocess.Popen[str]],
    tmp_path: Path,
    model: tuple[str, ...],
    work: Path,
    number: signal.Signals,
    code: int,
) -> None:
    clip = tmp_path / "long.mp4"
    with VideoWriter(clip, WIDTH, HEIGHT, 25) as video:
        for index in range(200):
            video.write(picture(index))
    process = start("interpolate", clip, "out.mp4", "--factor", "250", *model)
    deadline = time.monotonic() + 60
    while not list(work.glob(".out.*")) and time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == code, said
    assert list(work.iterdir()) == []


def test_an_evaluation(report: Report, model: tuple[str, ...], tmp_path: Path, work: Path) -> None:
    folder = tmp_path / "data" / "square"
    folder.mkdir(parents=True)
    for place in range(5):
        cv2.imwrite(str(folder / f"{place}.png"), picture(place)[..., ::-1])
    options = ("--against", "blend,dis", "--plot", "p.png", *model)
    found = report("eval", "interpolation", tmp_path / "data", *options)
    assert list(found["methods"]) == ["tiny", "blend", "dis"]
    for method in found["methods"].values():
        assert set(method) >= {"psnr_db", "ssim", "fps", "clips"}
        assert method["clips"]["square"]["frames"] == 2
        measures = {"psnr_db", "ssim", "gmsd", "haarpsi", "worst_patch"}
        assert set(method["clips"]["square"]) == {*measures, "fps", "frames"}
    assert (work / "p.png").read_bytes()[:4] == b"\x89PNG"


def test_an_evaluation_for_people_and_one_that_fails(
    invoke: Callable[..., Result], refused: Callable[..., str], model: tuple[str, ...], tmp_path: Path
) -> None:
    folder = tmp_path / "data" / "square"
    folder.mkdir(parents=True)
    for place in range(3):
        cv2.imwrite(str(folder / f"{place}.png"), picture(place)[..., ::-1])
    result = invoke("eval", "interpolation", tmp_path / "data", *model)
    assert result.exit_code == 0
    assert "PSNR in dB by clip" in result.stdout
    (folder / "2.png").write_bytes(b"")
    result = invoke("eval", "interpolation", tmp_path / "data", *model)
    assert result.exit_code == 1
    assert "did not finish 1 of 1 clips" in result.stderr
    against = ("eval", "interpolation", tmp_path / "data", *model, "--against")
    assert "no method 'flow'" in refused(*against, "flow")
    assert "--rife FOLDER" in refused(*against, "rife")
