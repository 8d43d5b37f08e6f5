"""``framestate run``: what goes into which file, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from framestate.bundles import Bundle
from framestate.cli.run_sinks import arrays, lines
from framestate.engine import Output
from framestate.errors import RunError
from framestate.export.adopt import adopt_stream
from framestate.export.adopt_graphs import StreamOptions
from framestate.vision import VideoReader, VideoWriter

from ..tiny_recurrent import write_fading

Report = Callable[..., dict[str, Any]]
Refused = Callable[..., str]
MakeClip = Callable[..., Path]


@pytest.fixture
def fading(tmp_path: Path) -> Bundle:
    path = write_fading(tmp_path / "fading.onnx")
    options = StreamOptions({"mean_in": "mean_out"}, outputs={"mean_out": "picture"})
    return adopt_stream(path, tmp_path / "fading", options, name="fading", provenance={}, frames=2)


def test_a_classifier_goes_through_it_too(
    report: Report, refused: Refused, tiny_classifier: Bundle, make_clip: MakeClip, work: Path
) -> None:
    video = make_clip(frames=3)
    found = report("run", tiny_classifier.path, video, "--out", "seen.jsonl", "--runtime", "onnx")
    assert (found["frames"], found["runtime"], found["outputs"]) == (3, "onnx", ["seen.jsonl"])
    lines = [json.loads(line) for line in (work / "seen.jsonl").read_text().splitlines()]
    for line in lines:
        assert line["label"] == max(line["probabilities"], key=line["probabilities"].get)
        assert sum(line["probabilities"].values()) == pytest.approx(1, abs=1e-4)
    report("run", tiny_classifier.path, video, "--out", "seen.npz", "--output", "smoothed")
    with np.load(work / "seen.npz") as arrays:
        assert set(arrays) == {"pts", "seconds", "smoothed"}
        assert arrays["smoothed"][1].max() == pytest.approx(lines[1]["probability"])
    line = refused("run", tiny_classifier.path, video, "--out", "seen.mp4")
    assert "gives nothing that goes into .mp4" in line
    assert sorted(path.name for path in work.iterdir()) == ["seen.jsonl", "seen.npz"]


def test_what_it_does_not_run(
    refused: Refused, tiny_bundle: Bundle, tiny_interpolator: Bundle, fading: Bundle, make_clip: MakeClip,
    work: Path,
) -> None:  # fmt: skip
    video = make_clip(frames=2)
    assert "Use framestate track" in refused("run", tiny_bundle.path, video, "--out", "x.jsonl")
    assert "gives nothing that goes into .npz" in refused(
        "run", tiny_interpolator.path, video, "--out", "x.npz"
    )
    assert "suffix '.txt'" in refused("run", fading.path, video, "--out", "x.txt")
    assert "no output 'gone'" in refused("run", fading.path, video, "--out", "x.npz", "--output", "gone")
    assert "no output 'gone'" in refused("run", fading.path, video, "--out", "x.jsonl", "--output", "gone")
    assert "no picture 'far'" in refused("run", fading.path, video, "--out", "x.mp4", "--output", "far")
    assert "'nope'" in refused("run", "nope", video, "--out", "x.mp4")
    assert "would overwrite" in refused("run", fading.path, video, "--out", video)
    assert list(work.iterdir()) == []


def test_pictures_are_too_many_numbers_for_a_line(
    refused: Refused, fading: Bundle, tmp_path: Path, work: Path
) -> None:
    path = tmp_path / "large.mp4"
    with VideoWriter(path, 320, 240, 25) as video:
        video.write(np.zeros((240, 320, 3), np.uint8))
    assert "'mean_out' has 230400 numbers a frame" in refused("run", fading.path, path, "--out", "x.jsonl")
    assert list(work.iterdir()) == []


def test_a_tensor_that_changes_its_shape(make_clip: MakeClip, work: Path) -> None:
    """``.npz`` holds one array a tensor; a line of JSON takes what comes."""
    answers = [Output({"found": np.arange(count)}, {}, count, 0.0) for count in (2, 3)]
    with VideoReader(make_clip(frames=2)) as reader:
        frames = list(reader)
        words = r"'found' is \(3,\) in frame 1, and was \(2,\) before.*jsonl"
        with arrays(work / "x.npz", reader, None) as sink:
            sink(frames[0], answers[0])
            with pytest.raises(RunError, match=words):
                sink(frames[1], answers[1])
        with lines(work / "x.jsonl", reader, None) as sink:
            for frame, answer in zip(frames, answers, strict=True):
                sink(frame, answer)
    found = [json.loads(line)["found"] for line in (work / "x.jsonl").read_text().splitlines()]
    assert found == [[0, 1], [0, 1, 2]]
