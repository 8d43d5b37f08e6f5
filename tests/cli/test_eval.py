"""``framestate eval tracking``."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from framestate.engine import Session
from framestate.errors import StepError
from typer.testing import Result

MakeSequences = Callable[..., Path]
Report = Callable[..., dict[str, Any]]
ONE = ("--threads", 1)


def test_ours_beside_others(report: Report, make_sequences: MakeSequences) -> None:
    folder = make_sequences("a", "b")
    found = report("eval", "tracking", folder, "--against", "static, mil", *ONE)
    assert list(found["trackers"]) == ["tracker-nano", "static", "mil"]
    for tracker in found["trackers"].values():
        assert set(tracker) >= {"auc", "precision20", "ao", "sr50", "sr75", "fps", "sequences"}
        assert list(tracker["sequences"]) == ["a", "b"]
        for sequence in tracker["sequences"].values():
            assert sequence["frames"] == 4
            assert sequence["fps"] > 0
    assert (found["runtime"], found["device"]) == ("onnx", "cpu")


def test_tables_and_a_plot(invoke: Callable[..., Result], make_sequences: MakeSequences, work: Path) -> None:
    folder = make_sequences("a", "b")
    result = invoke("eval", "tracking", folder, "--sequences", "b", "--plot", "p.png", *ONE)
    assert result.exit_code == 0
    assert "AUC" in result.stdout
    assert "wrote p.png" in result.stdout
    assert (work / "p.png").read_bytes()[:4] == b"\x89PNG"
    assert [path.name for path in work.iterdir()] == ["p.png"]


def test_a_sequence_that_was_not_finished_is_a_failed_run(
    invoke: Callable[..., Result], make_sequences: MakeSequences, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Session[Any], frame: object) -> None:
        raise StepError("step gave NaN", "Try again.")

    monkeypatch.setattr(Session, "push", fail)
    result = invoke("eval", "tracking", make_sequences("a"), "--json", *ONE)
    assert result.exit_code == 1
    assert json.loads(result.stdout)["trackers"]["tracker-nano"]["failures"] == 1
    assert "did not finish 1 of 1 sequences (a: frame 1: step gave NaN" in result.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--against", "yolo"), "no tracker 'yolo'"),
        (("--against", "nano"), "needs 2 ONNX files"),
        (("--against", "vit", "--vit-net", "nope.onnx"), "nope.onnx"),
        (("--sequences", "c"), "no sequence c"),
        (("--model", "nope"), "'nope'"),
        (("--device", "tpu"), "--device tpu"),
        (("--plot", "p.txt"), "suffix '.txt'"),
        (("--plot", "no/p.png"), "no folder no"),
    ],
)
def test_bad_options(
    refused: Callable[..., str], make_sequences: MakeSequences, options: tuple[str, ...], said: str
) -> None:
    assert said in refused("eval", "tracking", make_sequences("a"), *options, "--json")


def test_bad_data(refused: Callable[..., str], make_sequences: MakeSequences, work: Path) -> None:
    assert "nope is not a folder" in refused("eval", "tracking", "nope")
    assert "holds no sequence" in refused("eval", "tracking", work)
    folder = make_sequences("a")
    truth = folder / "a" / "groundtruth.txt"
    truth.write_text("1,2,3,4\nhello\n", encoding="utf-8")
    assert "groundtruth.txt, line 2: 'hello'" in refused("eval", "tracking", folder)


def test_a_benchmark_by_its_own_layout(report: Report, tiny_set: Callable[[str], Path], work: Path) -> None:
    folder = tiny_set("got10k")
    outputs = ("--submission", "hand-in", "--sheet", "worst.png", "--out", "kept")
    found = report("eval", "tracking", folder, "--against", "static", *outputs, *ONE)
    assert found["layout"] == "got10k"
    for tracker in found["trackers"].values():
        assert list(tracker["sequences"]) == ["GOT-10k_Val_000001", "GOT-10k_Val_000002"]
        assert 0 <= tracker["norm_precision"] <= 1
    assert found["outputs"] == ["worst.png", "hand-in/tracker-nano.zip", "hand-in/static.zip"]
    assert (work / "worst.png").read_bytes()[:4] == b"\x89PNG"
    again = report("eval", "tracking", folder, "--against", "static", "--out", "kept", *ONE)
    assert again["trackers"] == found["trackers"]  # times and all: nothing was run again
    test = report("eval", "tracking", folder, "--layout", "got10k", "--part", "test", *ONE)
    assert test["trackers"]["tracker-nano"]["auc"] is None
    assert test["trackers"]["tracker-nano"]["fps"] > 0


@pytest.mark.slow
def test_processes_side_by_side_say_so(report: Report, make_sequences: MakeSequences) -> None:
    found = report("eval", "tracking", make_sequences("a", "b"), "--jobs", 2)
    assert (found["jobs"], found["timings"]) == (2, "side by side")
    assert list(found["trackers"]["tracker-nano"]["sequences"]) == ["a", "b"]


def test_changed_settings_are_refused(
    report: Report, refused: Callable[..., str], make_sequences: MakeSequences
) -> None:
    folder = make_sequences("a")
    report("eval", "tracking", folder, "--out", "kept", *ONE)
    said = refused("eval", "tracking", folder, "--out", "kept", "--against", "static", *ONE)
    assert "begun with other settings" in said
    assert "no layout 'vot'" in refused("eval", "tracking", folder, "--layout", "vot")
    assert "Expected" in refused("eval", "tracking", folder, "--layout", "lasot")
    assert "suffix '.txt'" in refused("eval", "tracking", folder, "--sheet", "s.txt")


def test_a_test_set_of_interpolation(report: Report, tiny_set: Callable[[str], Path]) -> None:
    found = report("eval", "interpolation", tiny_set("middlebury"), "--against", "blend", *ONE)
    assert found["layout"] == "middlebury"
    for method in found["methods"].values():
        assert set(method["clips"]) == {"Beanbags", "Venus"}
        assert method["interpolation_error"] > 0
        assert 0 < method["ssim_matlab_unrounded"] <= 1
