"""``framestate adopt``: from two ONNX files to boxes on a video, by the command alone."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from framestate.bundles import load_bundle
from typer.testing import Result

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
    found = report(*arguments, "--licence", "Apache-2.0")
    assert (found["bundle"], found["model"], found["runtime"]) == ("pair", "pair", "onnx")
    assert found["state_bytes"] == 4 * 6 * 4 * 4
    for path, size in found["files"].items():
        assert (work / path).stat().st_size == size
    made: Any = load_bundle("./pair").provenance
    assert made["licence"] == "Apache-2.0"
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
    (work / "pair").write_text("taken")
    assert "pair exists already" in refused(*arguments)


def test_files_that_are_no_pair(invoke: Invoke, arguments: list[object], work: Path) -> None:
    result = invoke(*arguments, "--head", arguments[2])
    assert result.exit_code == 1
    assert "1 inputs and 1 outputs; 2 and 2 are needed" in result.stderr
    assert list(work.iterdir()) == []
