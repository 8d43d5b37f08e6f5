"""``framestate track`` with boxes at their times, detections of a file, and a detector."""

from __future__ import annotations

import csv
import json
import re
import webbrowser
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from framestate.bench.scenes import read_mot
from onnx import TensorProto, helper, numpy_helper
from typer.testing import Result

from .conftest import HEIGHT, WIDTH

MakeClip = Callable[..., Path]
Report = Callable[..., dict[str, Any]]
Refused = Callable[..., str]
Invoke = Callable[..., Result]
ONE = ("--threads", 1)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def detections(path: Path, every: int, frames: int, score: float = 0.9) -> Path:
    """The square of the tiny clips, found at every Nth frame."""
    lines = [f"{i + 1},-1,{12 + 2 * i},{10 + i},20,20,{score}\n" for i in range(0, frames, every)]
    path.write_text("".join(lines), encoding="utf-8")
    return path


@pytest.mark.parametrize("when", ["3:", "0.12s:", "0:00:00.12:", "3f:"])
def test_a_box_at_its_time(report: Report, make_clip: MakeClip, work: Path, box: str, when: str) -> None:
    later = f"{when}18,13,20,20"
    found = report("track", make_clip(frames=6), "--box", later, "--box", box, "--boxes", "b.csv", *ONE)
    assert [one["target"] for one in found["targets"]] == [1, 2]
    table = [(int(row["frame"]), int(row["target"])) for row in rows(work / "b.csv")]
    assert table == [(frame, 1) for frame in range(3)] + [(f, t) for f in range(3, 6) for t in (1, 2)]
    first = next(row for row in rows(work / "b.csv") if row["target"] == "2")
    assert [float(first[name]) for name in "xywh"] == [18, 13, 20, 20]


def test_answers_come_late_and_all_the_same(
    report: Report,
    refused: Refused,
    make_clip: MakeClip,
    work: Path,
    box: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clip, found = make_clip(frames=9), detections(work / "det.txt", 4, 9)
    given = ("track", clip, "--detections", found, "--box", f"3:{box}", *ONE)
    plain = report(*given, "--boxes", "at_once.csv")
    late = report(*given, "--boxes", "late.csv", "--delay", 3, "--out", "late.mp4")
    assert (late["frames"], late["targets"]) == (plain["frames"], plain["targets"])
    pairs = list(zip(rows(work / "at_once.csv"), rows(work / "late.csv"), strict=True))
    for one, other in pairs:
        assert (one["frame"], one["target"]) == (other["frame"], other["target"])
    assert any(one["x"] != other["x"] for one, other in pairs)
    assert "--detections or --detector" in refused("track", clip, "--box", box, "--delay", 3)
    monkeypatch.setattr("framestate.cli.follow.free_memory", lambda device: 2 * 4 * 3 * WIDTH * HEIGHT)
    assert "Give 4 or less" in refused(*given, "--boxes", "late.csv", "--delay", 5)
    assert report(*given, "--boxes", "late.csv", "--delay", 4)["frames"] == 9
    assert "--delay" in refused("track", "--live", clip, "--detections", found, "--delay", 3)


def test_a_box_after_the_end_is_said(report: Report, make_clip: MakeClip, box: str) -> None:
    given = ("--box", box, "--box", "99s:1,1,9,9", "--boxes", "b.csv")
    found = report("track", make_clip(frames=3), *given, *ONE)
    assert len(found["targets"]) == 1
    assert any("1,1,9,9" in note for note in found["notes"])


@pytest.mark.parametrize(
    "text", ["x:1,1,9,9", "3:1,1,9", "3:4:5:6:1,1,9,9", "-1:1,1,9,9", "nan:1,1,9,9", ":1,1,9,9"]
)
def test_times_that_are_none_are_refused(refused: Refused, make_clip: MakeClip, text: str) -> None:
    assert refused("track", make_clip(frames=3), "--box", text, "--boxes", "b.csv")


def test_detections_of_a_file_open_targets_with_ids(report: Report, make_clip: MakeClip, work: Path) -> None:
    clip, file = make_clip(frames=12), detections(work / "d.txt", 5, 12)
    found = report("track", clip, "--detections", file, "--boxes", "b.csv", "--out", "o.mp4", *ONE)
    assert [one["target"] for one in found["targets"]] == [1]
    assert found["targets"][0]["label"] == ""
    table = rows(work / "b.csv")
    assert [int(row["frame"]) for row in table] == list(range(12))
    assert all(abs(float(row["x"]) - 12 - 2 * int(row["frame"])) < 4 for row in table)


@pytest.mark.parametrize("name", ["b.txt", "b.jsonl", "b.json"])
def test_the_forms_of_the_boxes(report: Report, make_clip: MakeClip, work: Path, name: str) -> None:
    clip, file = make_clip(frames=4), detections(work / "d.txt", 1, 4)
    report("track", clip, "--detections", file, "--boxes", name, *ONE)
    text = (work / name).read_text(encoding="utf-8")
    if name == "b.txt":
        assert read_mot(work / name, 10)[:, :2].tolist() == [[frame, 1] for frame in range(1, 5)]
    elif name == "b.jsonl":
        assert [json.loads(line)["label"] for line in text.splitlines()] == [""] * 4
    else:
        coco = json.loads(text)
        assert [one["frame_id"] for one in coco["images"]] == [0, 1, 2, 3]
        assert [one["image_id"] for one in coco["annotations"]] == [1, 2, 3, 4]
        assert {one["track_id"] for one in coco["annotations"]} == {1}
        assert coco["categories"] == [{"id": 1, "name": "object"}]
        assert coco["videos"] == [{"id": 1, "name": clip.name, "width": 96, "height": 64}]


def test_a_detector_names_what_it_finds(
    report: Report, refused: Refused, make_clip: MakeClip, work: Path
) -> None:
    table = np.zeros((1, 6, 4), np.float32)
    table[0, :, 0] = (22 / 96 * 96, 20 + 16, 20, 20, 0.05, 0.9)  # shown in 96 x 96, 16 pixels down
    held = numpy_helper.from_array(table, "held")
    zero = numpy_helper.from_array(np.zeros(1, np.float32), "zero")
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMean", ["images"], ["mean"], keepdims=0),
            helper.make_node("Mul", ["mean", "zero"], ["nothing"]),
            helper.make_node("Add", ["held", "nothing"], ["output0"]),
        ],
        "detector",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, [1, 3, 96, 96])],
        [helper.make_tensor_value_info("output0", TensorProto.FLOAT, [1, 6, 4])],
        [held, zero],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    helper.set_model_props(model, {"names": "{0: 'cat', 1: 'square, white'}"})
    onnx.save(model, str(work / "d.onnx"))
    given = ("track", make_clip(frames=4), "--detector", "d.onnx", "--boxes", "b.csv", *ONE)
    found = report(*given, "--detect-every", 50)
    assert [one["label"] for one in found["targets"]] == ["square, white"]
    assert [row["label"] for row in rows(work / "b.csv")] == ["square, white"] * 4
    assert report(*given, "--classes", "cat")["targets"] == []
    both = report(*given, "--classes", 'cat, "square, white"')["targets"]
    assert [one["label"] for one in both] == ["square, white"]
    assert "cannot be read" in refused(*given, "--classes", '"square, white')
    assert "no class" in refused(*given, "--classes", "dog")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (("--detections", "missing.txt"), "cannot be read"),
        (("--detections", "bad.txt"), "frame 1"),
        (("--detections", "short.txt"), "columns"),
        (("--detections", "zero.txt"), "frame 0"),
        (("--detections", "nan.txt"), "frame nan"),
        (("--detections", "empty.txt"), "no detections"),
        (("--detections", "bad.txt", "--detector", "d.onnx"), "one of them"),
        (("--detector", "missing.onnx"), "no detector"),
        (("--classes", "cat"), "--detector"),
    ],
)
def test_what_cannot_be_used_is_refused(
    refused: Refused, make_clip: MakeClip, work: Path, given: tuple[str, ...], words: str
) -> None:
    (work / "bad.txt").write_text("1,-1,5,5,-9,9,0.5\n")
    (work / "short.txt").write_text("1,-1,5,5\n")
    (work / "zero.txt").write_text("0,-1,5,5,9,9,0.5\n")
    (work / "nan.txt").write_text("nan,-1,5,5,9,9,0.5\n")
    (work / "empty.txt").write_text("\n")
    assert words in refused("track", make_clip(frames=3), *given, "--boxes", "b.csv")
    assert not (work / "b.csv").exists()


def test_a_live_source_gives_a_line_a_frame(invoke: Invoke, make_clip: MakeClip, work: Path) -> None:
    clip, file = make_clip(frames=12), detections(work / "d.txt", 1, 12)
    for given in (("--detections", file), ("--box", "12,10,20,20")):
        done = invoke("track", "--live", clip, *given, "--end", 0.4, *ONE)
        assert done.exit_code == 0, done.output
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        assert lines
        assert [one["frame"] for one in lines] == sorted({one["frame"] for one in lines})
        assert lines[0]["seconds"] == 0
        assert lines[-1]["seconds"] <= 0.4
        assert all(one["skipped"] >= 0 and one["work_ms"] >= 0 for one in lines)
        assert any(target["target"] == 1 for one in lines for target in one["targets"])


def test_a_live_source_is_shown_on_the_servers_page(
    invoke: Invoke, make_clip: MakeClip, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = make_clip(frames=25)
    given = ("track", "--live", clip, "--show", *ONE)
    done = invoke(*given, "--box", "12,10,20,20", "--box", "0.2s:30,20,20,20", "--end", 3)
    assert done.exit_code == 0, done.output
    assert re.search(r"open http://127\.0\.0\.1:\d+/#live/live yourself", done.stderr)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one["frame"] for one in lines] == sorted({one["frame"] for one in lines})
    assert {target["target"] for one in lines for target in one["targets"]} == {1, 2}
    (work / "browser").write_text('#!/bin/sh\necho "$1" > seen\n')
    (work / "browser").chmod(0o755)
    monkeypatch.setenv("BROWSER", f"{work / 'browser'} %s")
    monkeypatch.setattr(webbrowser, "_tryorder", None)
    monkeypatch.setattr("framestate.cli.show.can_draw", lambda: True)  # no test sits at a terminal
    done = invoke(*given, "--end", 0.4)
    assert (done.exit_code, done.stdout) == (0, ""), done.output  # nobody has drawn anything
    assert (work / "seen").read_text().strip() in done.stderr
    assert invoke(*given, "--box", "900,1,9,9", "--end", 3).exit_code == 2


def test_what_a_live_source_cannot_have_is_refused(refused: Refused, make_clip: MakeClip, box: str) -> None:
    clip = make_clip(frames=3)
    for given in (
        ("--live", clip),
        ("--live", clip, "--box", box, "--out", "o.mp4"),
        (clip, "--box", box, "--show"),
        ("--live", clip, "--show", "--detections", "d.txt"),
        (clip, "--live", clip, "--box", box),
        ("--live", clip, "--box", box, "--end", "30f"),
        ("--live", clip, "--box", box, "--every", 1),
        ("--live", clip, "--box", box, "--codec", "libx265"),
        ("--live", clip, "--box", box, "--deinterlace", "auto"),
        ("--live", "gopher://x", "--box", box),
        ("--live", "missing.mp4", "--box", box),
    ):
        assert refused("track", *given)
