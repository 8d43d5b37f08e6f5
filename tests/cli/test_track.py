"""``framestate track``."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from framestate.bundles import load_bundle
from framestate.vision import VideoReader
from typer.testing import Result

Invoke = Callable[..., Result]
MakeClip = Callable[..., Path]
Report = Callable[..., dict[str, Any]]
Refused = Callable[..., str]

ONE = ("--threads", 1)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_boxes_and_the_video(report: Report, make_clip: MakeClip, work: Path, box: str) -> None:
    clip = make_clip(frames=5)
    found = report("track", clip, "--box", box, "--boxes", "b.csv", "--out", "o.mp4", *ONE)
    assert (found["runtime"], found["device"], found["frames"]) == ("onnx", "cpu", 5)
    assert found["outputs"] == ["o.mp4", "b.csv"]
    assert found["broken_packets"] == 0
    assert found["fps"] > 0
    assert 4 / found["fps"] < found["seconds"]
    (target,) = found["targets"]
    assert target["target"] == 1
    assert 0 <= target["lost_frames"] <= 4
    assert 0 <= target["mean_score"] <= 1

    lines = (work / "b.csv").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "frame,pts,seconds,target,x,y,w,h,score,status"
    assert lines[1] == "0,0,0.000000,1,12.000,10.000,20.000,20.000,1.0000,tracking"
    table = rows(work / "b.csv")
    assert [int(row["frame"]) for row in table] == list(range(5))
    with VideoReader(clip) as given, VideoReader(work / "o.mp4") as made:
        times = [frame.seconds for frame in given]
        assert [int(row["pts"]) * given.time_base for row in table] == pytest.approx(times)
        assert [frame.seconds for frame in made] == pytest.approx(times)
        assert (made.width, made.height) == (given.width, given.height)
    assert sorted(path.name for path in work.iterdir()) == ["b.csv", "o.mp4"]


def test_several_targets_share_the_decoding(
    report: Report, make_clip: MakeClip, work: Path, box: str
) -> None:
    clip = make_clip(frames=4)
    other = "50,30,16,12"
    report("track", clip, "--box", other, "--boxes", "one.csv", *ONE)
    found = report("track", clip, "--box", box, "--box", other, "--boxes", "two.csv", *ONE)
    assert [target["target"] for target in found["targets"]] == [1, 2]
    both = rows(work / "two.csv")
    assert [(row["frame"], row["target"]) for row in both] == [(str(f), t) for f in range(4) for t in "12"]
    alone = [{**row, "target": "2"} for row in rows(work / "one.csv")]
    assert [row for row in both if row["target"] == "2"] == alone


def test_without_a_box_and_without_somebody_to_draw_one(
    refused: Refused, make_clip: MakeClip, work: Path
) -> None:
    said = refused("track", make_clip())
    assert "clip.mp4 (96 x 64 pixels)" in said
    assert "--box X,Y,W,H" in said
    assert "A pipe has no first frame" in refused("track", "-")
    assert list(work.iterdir()) == []


def test_without_a_named_output(invoke: Invoke, make_clip: MakeClip, work: Path, box: str) -> None:
    clip = make_clip(frames=2)
    result = invoke("track", clip, "--box", box, *ONE)
    assert result.exit_code == 0
    assert "the annotated video went to clip_tracked.mp4" in result.stderr
    assert "wrote clip_tracked.mp4" in result.stdout
    assert [path.name for path in work.iterdir()] == ["clip_tracked.mp4"]


def test_one_frame(report: Report, make_clip: MakeClip, box: str) -> None:
    found = report("track", make_clip(frames=1), "--box", box, "--boxes", "b.csv", *ONE)
    assert (found["frames"], found["fps"]) == (1, None)
    assert found["targets"] == [{"target": 1, "lost_frames": 0, "mean_score": None}]


def test_a_folder_of_images(report: Report, make_sequences: Callable[..., Path], box: str) -> None:
    folder = make_sequences("a", frames=3) / "a"
    assert report("track", folder, "--box", box, "--boxes", "b.csv", *ONE)["frames"] == 3


def test_broken_packets_are_passed_over(invoke: Invoke, make_clip: MakeClip, work: Path, box: str) -> None:
    clip = make_clip(frames=30)
    data = bytearray(clip.read_bytes())
    start = data.find(b"mdat") + 4
    assert start > data.find(b"moov") > 0  # the index stands in front
    middle = start + (len(data) - start) // 2
    data[middle : middle + 800] = bytes(800)
    clip.write_bytes(data)
    with VideoReader(clip) as reader:
        readable = len(list(reader))
        broken = reader.broken_packets
    assert broken > 0
    result = invoke("track", clip, "--box", box, "--boxes", "b.csv", *ONE)
    assert result.exit_code == 0
    assert f"warning: {broken} broken packet" in result.stderr
    assert len(rows(work / "b.csv")) == readable < 30


def no_such_file(clip: Path) -> Path:
    return clip.with_name("nope.mp4")


def a_text(clip: Path) -> Path:
    clip.write_text("this is no video", encoding="utf-8")
    return clip


def without_its_index(clip: Path) -> Path:
    """A file as it is when the recorder was switched off: the pictures are there, the index is not."""
    data = clip.read_bytes()
    index, pictures = data.find(b"moov") - 4, data.find(b"mdat") - 4
    clip.write_bytes(data[:index] + data[pictures:])
    return clip


def without_frames(clip: Path) -> Path:
    with av.open(str(clip), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        container.start_encoding()
    return clip


def an_empty_file(clip: Path) -> Path:
    clip.write_bytes(b"")
    return clip


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (no_such_file, "does not exist"),
        (a_text, "cannot be opened as a video"),
        (an_empty_file, "is empty"),
        (without_its_index, "clip.mp4"),
        (without_frames, "clip.mp4"),
    ],
)
def test_videos_that_cannot_be_used(
    refused: Refused, make_clip: MakeClip, box: str, work: Path, damage: Callable[[Path], Path], said: str
) -> None:
    video = damage(make_clip())
    line = refused("track", video, "--box", box, "--json")
    assert str(video) in line
    assert said in line
    assert list(work.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("500,10,20,20", "covers less than one pixel of the 96 x 64 frame"),
        ("-40,10,20,20", "covers less than one pixel of the 96 x 64 frame"),
        ("10,10,-5,20", "has a side that is not positive"),
        ("10,10,0,20", "has a side that is not positive"),
        ("nan,10,20,20", "not finite"),
        ("10,inf,20,20", "not finite"),
        ("10,10,20", "3 comma-separated parts"),
        ("a,b,c,d", "not a number"),
        ("", "1 comma-separated parts"),
    ],
)
def test_boxes_that_cannot_be_used(refused: Refused, make_clip: MakeClip, text: str, said: str) -> None:
    line = refused("track", make_clip(), "--box", "12,10,20,20", "--box", text, "--json")
    assert text in line
    assert said in line
    assert "x,y,w,h" in line or "Choose a box" in line


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--model", "nope"), "'nope' is neither a model"),
        (("--model", "tracker-nano-2"), "tracker-nano, tracker-small;"),
        (("--runtime", "fast"), "'fast' is no runtime"),
        (("--device", "tpu"), "--device tpu is unknown"),
        (("--runtime", "onnx", "--device", "cuda"), "'cuda'"),
        (("--out", "o.txt"), "suffix '.txt'"),
        (("--out", "missing/o.mp4"), "there is no folder missing"),
        (("--boxes", "."), "is a folder"),
        (("--out", "a.mp4", "--boxes", "a.mp4"), "--out and --boxes are both a.mp4"),
        (("--stream", "3"), "no video stream 3"),
        (("--image-rate", "0"), "--image-rate is 0"),
        (("--deinterlace", "on"), "--deinterlace on is unknown"),
        (("--bitrate", "much"), "--bitrate is much"),
        (("--codec", "ffv1", "--crf", "3", "--out", "o.mkv"), "ffv1 has no crf"),
    ],
)
def test_options_that_cannot_be_used(
    refused: Refused, make_clip: MakeClip, box: str, work: Path, options: tuple[str, ...], said: str
) -> None:
    assert said in refused("track", make_clip(), "--box", box, *options)
    assert list(work.iterdir()) == []


def test_the_input_stays(refused: Refused, make_clip: MakeClip, box: str) -> None:
    clip = make_clip()
    before = clip.read_bytes()
    for option in ("--out", "--boxes"):
        line = refused("track", clip, "--box", box, option, clip)
        assert f"{option} {clip} would overwrite the input" in line
    assert clip.read_bytes() == before


@pytest.mark.parametrize("name", ["step.onnx", "weights.safetensors", "manifest.json"])
def test_a_damaged_model(refused: Refused, make_clip: MakeClip, tmp_path: Path, box: str, name: str) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(load_bundle("tracker-nano").path, copy)
    data = bytearray((copy / name).read_bytes())
    data[len(data) // 2] ^= 0xFF
    (copy / name).write_bytes(data)
    assert name in refused("track", make_clip(), "--box", box, "--model", copy)


@pytest.mark.parametrize(
    ("suffix", "words"), [(".png", "0.png is 96x64, 2.png is 96x48"), (".bmp", "frame 2 is 96x48")]
)
def test_images_of_different_sizes_are_refused(
    refused: Refused, tmp_path: Path, work: Path, box: str, suffix: str, words: str
) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    for index, size in enumerate(((64, 96), (64, 96), (48, 96))):
        image = 128 + 0 * cv2.UMat(*size, cv2.CV_8UC3).get()
        cv2.imwrite(str(folder / f"{index}{suffix}"), image)
    assert words in refused("track", folder, "--box", box, "--out", "o.mp4", *ONE)
    assert list(work.iterdir()) == []


def test_the_boxes_of_a_run_that_ends_early_are_kept(
    invoke: Invoke, tmp_path: Path, work: Path, box: str
) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    for index, size in enumerate(((64, 96), (64, 96), (48, 96))):
        cv2.imwrite(str(folder / f"{index}.bmp"), np.full((*size, 3), 128, np.uint8))
    result = invoke("track", folder, "--box", box, "--boxes", "b.csv", *ONE)
    assert result.exit_code == 2
    assert "the boxes of the 2 lines until then are in b.partial.csv" in result.stderr
    assert [path.name for path in work.iterdir()] == ["b.partial.csv"]
    assert len(rows(work / "b.partial.csv")) == 2


def test_other_forms_of_boxes(report: Report, make_clip: MakeClip, work: Path, box: str) -> None:
    clip = make_clip(frames=3)
    for name in ("b.csv", "b.jsonl", "b.txt"):
        report("track", clip, "--box", box, "--boxes", name, *ONE)
    table = rows(work / "b.csv")
    lines = [json.loads(line) for line in (work / "b.jsonl").read_text().splitlines()]
    assert [(line["frame"], line["seconds"], line["target"]) for line in lines] == [
        (0, 0.0, 1), (1, 0.04, 1), (2, 0.08, 1)
    ]  # fmt: skip
    assert [float(row["x"]) for row in table] == pytest.approx([line["x"] for line in lines], abs=0.001)
    mot = [line.split(",") for line in (work / "b.txt").read_text().splitlines()]
    assert [line[:2] for line in mot] == [["1", "1"], ["2", "1"], ["3", "1"]]
    assert [line[2] for line in mot] == [row["x"] for row in table]
    assert all(line[7:] == ["-1", "-1", "-1"] for line in mot)
