"""``framestate adopt``: from ONNX files to boxes, pictures and numbers of a video, by the command alone."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from framestate.bundles import load_bundle
from framestate.vision import VideoReader
from typer.testing import Result

from ..tiny_recurrent import write_fading, write_matting

pytest.importorskip("onnx")

Invoke = Callable[..., Result]
Report = Callable[..., dict[str, Any]]
Refused = Callable[..., str]
MakeClip = Callable[..., Path]
MakePair = Callable[..., tuple[Path, Path]]
MakeSequences = Callable[..., Path]


@pytest.fixture
def arguments(siamese_pair: MakePair) -> list[object]:
    backbone, head = siamese_pair()
    return [
        "adopt", "--backbone", backbone, "--head", head, "--name", "pair", "--out", "pair",
        "--template-size", 32, "--search-size", 64,
    ]  # fmt: skip


def test_adopted_tracked_and_evaluated(
    report: Report, arguments: list[object], make_clip: MakeClip, make_sequences: MakeSequences,
    box: str, work: Path,
) -> None:  # fmt: skip
    found = report(
        *arguments, "--licence", "Apache-2.0", "--trained-on", "koi", "--look", "tracker-nano",
        "--set", "window=0.4", "--set", "lost_after=9",
    )  # fmt: skip
    assert (found["bundle"], found["model"], found["runtime"]) == ("pair", "pair", "onnx")
    assert found["state_bytes"] == 4 * 6 * 4 * 4
    for path, size in found["files"].items():
        assert (work / path).stat().st_size == size
    options: Any = load_bundle("./pair").spec.preprocess["options"]
    assert (options["window"], options["lost_after"], options["change"]) == (0.4, 9, 0.055)
    made: Any = load_bundle("./pair").provenance
    assert (made["licence"], made["trained_on"], made["look"]["model"]) == (
        "Apache-2.0",
        "koi",
        "tracker-nano",
    )
    assert made["source"] == "not stated"
    backbone = Path(str(arguments[2]))
    assert made["adopted"]["backbone"]["sha256"] == hashlib.sha256(backbone.read_bytes()).hexdigest()

    tracked = report("track", make_clip(), "--box", box, "--model", "./pair", "--boxes", "boxes.csv")
    assert (tracked["runtime"], tracked["frames"]) == ("onnx", 5)
    with (work / "boxes.csv").open() as file:
        assert len(list(csv.DictReader(file))) == 5
    scored = report("eval", "tracking", make_sequences("one"), "--model", "./pair")
    assert scored["trackers"]["pair"]["failures"] == 0


def test_next_commands_are_printed(invoke: Invoke, arguments: list[object]) -> None:
    result = invoke(*arguments)
    assert result.exit_code == 0, result.stderr
    assert "(tolerance 1e-04)" in result.stdout
    assert "Validate:  framestate eval tracking data/tracking --model ./pair --runtime onnx" in result.stdout


def test_bad_input(refused: Refused, arguments: list[object], work: Path) -> None:
    assert "--head nowhere.onnx is not a file" in refused(*arguments, "--head", "nowhere.onnx")
    assert "the name of a model is '../x'" in refused(*arguments, "--name", "../x")
    assert "--set wide is no number" in refused(*arguments, "--set", "window=wide")
    assert "Known options" in refused(*arguments, "--set", "windw=0.4")
    (work / "pair").write_text("taken")
    assert "pair exists already" in refused(*arguments)


def test_files_that_are_no_pair(invoke: Invoke, arguments: list[object], work: Path) -> None:
    result = invoke(*arguments, "--head", arguments[2])
    assert result.exit_code == 1
    assert "1 inputs and 1 outputs; 2 and 2 are needed" in result.stderr
    assert list(work.iterdir()) == []


@pytest.fixture
def fading(tmp_path: Path) -> Path:
    return write_fading(tmp_path / "fading.onnx")


STATES = ("--state", "mean_in=mean_out", "--output", "mean_out=picture")


def test_a_recurrent_file_is_adopted_and_run(
    report: Report, fading: Path, make_clip: MakeClip, work: Path
) -> None:
    """Frames in, pictures and numbers out, by the command alone; what plain ONNX Runtime gives."""
    found = report("adopt", fading, *STATES, "--name", "fading", "--out", "new", "--licence", "MIT")
    assert (found["bundle"], found["model"], found["task"], found["runtime"]) == (
        "new", "fading", "stream", "onnx",
    )  # fmt: skip
    assert found["parity"]["passed"] is True
    assert (found["parity"]["frames"], found["parity"]["max_abs"]) == (12, 0.0)
    assert found["state_bytes"] is None  # it follows the size of the frames
    for path, size in found["files"].items():
        assert (work / path).stat().st_size == size
    made: Any = load_bundle("./new").provenance
    assert made["adopted"]["graph"]["sha256"] == hashlib.sha256(fading.read_bytes()).hexdigest()

    video = make_clip(frames=4)
    shown = report("run", "./new", video, "--out", "mean.mp4")
    assert (shown["model"], shown["frames"], shown["outputs"]) == ("./new", 4, ["mean.mp4"])
    assert shown["fps"] > 0
    with VideoReader(work / "mean.mp4") as reader:
        assert (len(list(reader)), reader.width, reader.height) == (4, 96, 64)
    report("run", "./new", video, "--out", "values.jsonl", "--output", "far")
    lines = [json.loads(line) for line in (work / "values.jsonl").read_text().splitlines()]
    assert [line["frame"] for line in lines] == [0, 1, 2, 3]
    report("run", "./new", video, "--out", "tensors.npz")
    with np.load(work / "tensors.npz") as tensors:
        assert tensors["mean_out"].shape == (4, 3, 64, 96)
        assert tensors["pts"].shape == tensors["seconds"].shape == (4,)
        assert tensors["far"].tolist() == pytest.approx([line["far"] for line in lines])
        with VideoReader(video) as reader:
            images = [frame.image for frame in reader]
        session = onnxruntime.InferenceSession(str(fading), providers=["CPUExecutionProvider"])
        mean = np.zeros((1, 3, 64, 96), np.float32)
        for image, expected in zip(images, tensors["far"], strict=True):
            seen = (image * np.float32(1 / 255)).transpose(2, 0, 1)[None].astype(np.float32)
            far, mean = session.run(["far", "mean_out"], {"image": seen, "mean_in": mean})
            assert far[0] == expected


def test_the_next_command_of_a_recurrent_file(invoke: Invoke, fading: Path) -> None:
    result = invoke("adopt", fading, *STATES, "--name", "fading", "--out", "new", "--frames", 2)
    assert result.exit_code == 0, result.stderr
    assert "2 frames give what the file gives, bit for bit; sessions can share a batch" in result.stdout
    assert "Predict:   framestate run ./new video.mp4 --out values.jsonl --runtime onnx" in result.stdout


def test_everything_that_can_be_said_of_a_file(report: Report, tmp_path: Path, work: Path) -> None:
    graph = write_matting(tmp_path / "matting.onnx")
    np.save(work / "r.npy", np.full((1, 3, 16, 24), 0.25, np.float32))
    found = report(
        "adopt", graph, "--name", "matting", "--out", "new", "--state", "r1i=r1o", "--input", "ratio=0.5",
        "--input", "src=frame", "--output", "pha=mask", "--initial", "r1i=r.npy", "--size", "32x48",
        "--range", 255, "--mean", "1,2,3", "--std", 2, "--colours", "BGR", "--frames", 3,
    )  # fmt: skip
    assert found["state_bytes"] == 4 * 3 * 16 * 24
    assert found["parity"]["frames"] == 3
    assert load_bundle("./new").spec.preprocess == {
        "inputs": {
            "src": {"kind": "frame", "range": 255.0, "mean": [1.0, 2.0, 3.0], "std": 2.0, "colours": "BGR"},
            "ratio": {"kind": "value", "value": 0.5},
        },
        "outputs": {"pha": {"kind": "mask"}},
    }


def test_what_does_not_go_together(refused: Refused, invoke: Invoke, fading: Path, work: Path) -> None:
    new = ("--name", "x", "--out", "new")
    base = ("adopt", fading, *new)
    assert "no file is given" in refused("adopt", *new)
    assert "--head has no use with a GRAPH" in refused(*base, "--head", fading)
    assert "--template-size has no use" in refused(*base, "--template-size", 64)
    assert "--size has no use with --backbone" in refused(
        "adopt", "--backbone", fading, "--head", fading, *new, "--size", "1x1"
    )
    assert "--name is missing" in refused("adopt", fading, "--out", "new")
    assert "--out is missing" in refused("adopt", fading, "--name", "x")
    assert "GRAPH gone.onnx is not a file" in refused("adopt", "gone.onnx", *new)
    assert "--state h is no pair" in refused(*base, "--state", "h")
    assert "--state names h twice" in refused(*base, "--state", "h=a", "--state", "h=b")
    assert "--initial x is no number" in refused(*base, "--initial", "mean_in=x")
    assert "--input nan is no number" in refused(*base, "--input", "mean_in=nan")
    assert "--size 12 is no size" in refused(*base, "--size", "12")
    assert "--mean 1;2 is no number" in refused(*base, "--mean", "1;2")
    assert "no input 'h'" in refused(*base, "--state", "h=mean_out")
    result = invoke(*base, "--state", "mean_in=far")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.splitlines()[-1].startswith("error: state 'mean_in' is float32 of 4 axes")
    assert list(work.iterdir()) == []
