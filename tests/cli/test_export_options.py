"""``framestate export`` in other dialects and precisions, on the small tracker, whose graphs are ready."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from framestate.bundles import Bundle, load_bundle
from framestate.cli.calibration import calibration_clips
from framestate.errors import DataError, VideoError
from framestate.vision import Box
from typer.testing import Result

onnx = pytest.importorskip("onnx")
pytest.importorskip("torch")

Invoke = Callable[..., Result]
Report = Callable[..., dict[str, Any]]
Refused = Callable[..., str]
MakeClip = Callable[..., Path]
MakeSequences = Callable[..., Path]


@pytest.fixture(autouse=True)
def ready_graphs(tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    """No exports: they are proven in tests/export."""

    def write(spec: Any, weights: Mapping[str, Any], folder: Path, *_: Any) -> dict[str, Path]:
        files = {f"{function}.onnx": folder / f"{function}.onnx" for function in spec.functions}
        for name, path in files.items():
            onnx.save(onnx.load(tiny_bundle.file(name)), path)
        return files

    monkeypatch.setattr("framestate.export.bundle.write_graphs", write)
    monkeypatch.setattr("framestate.export.compare.write_graphs", write)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Random weights fall either way in a near tie; here only the way through counts."""
    from framestate.export.trials import Tolerance

    monkeypatch.setattr(
        "framestate.export.bundle.tolerance_of",
        lambda task, precision: Tolerance(1.0, {"median_drift_px": 1e3, "overlap_loss": 1.0}),
    )


@pytest.mark.usefixtures("patient")
def test_int8_on_clips_of_ones_own(
    report: Report, tiny_bundle: Bundle, make_sequences: MakeSequences, work: Path
) -> None:
    folder = make_sequences("one", "two", frames=6)
    found = report(
        "export", tiny_bundle.path, "--to", "onnx", "--out", "new", "--frames", 3, "--precision", "int8",
        "--calibrate", folder,
    )  # fmt: skip
    assert (found["ops"], found["precision"]) == ("ort", "int8")
    assert found["calibration"]["clips"] == ["one", "two"]
    assert found["calibration"]["synthetic"] is False
    assert found["parity"]["drift_counted"] == "median"
    made: Any = load_bundle("./new").parity["onnx"]
    assert made["calibration"] == found["calibration"]
    assert [path.name for path in work.iterdir()] == ["new"]


@pytest.mark.usefixtures("patient")
def test_int8_without_clips_says_so(invoke: Invoke, tiny_bundle: Bundle) -> None:
    result = invoke(
        "export", tiny_bundle.path, "--to", "onnx", "--out", "new", "--frames", 3, "--precision", "int8"
    )
    assert result.exit_code == 0, result.stderr
    assert "warning: int8 is calibrated on rendered clips; give --calibrate" in result.stderr
    assert "Parity of onnx (ort, int8) with eager fp32, 3 closed-loop frames" in result.stdout
    for words in ("box drift in px, worst frame", "box drift in px, median", "overlap with the truth lost"):
        assert words in result.stdout
    assert result.stdout.splitlines()[-3].startswith("Predict:   framestate track")


def test_plugin_graphs_are_said_to_be_unproven(
    invoke: Invoke, report: Report, refused: Refused, tiny_bundle: Bundle, make_clip: MakeClip, box: str
) -> None:
    found = report("export", tiny_bundle.path, "--to", "onnx", "--out", "new", "--ops", "plugin")
    assert found["parity"]["frames"] == 0
    assert found["parity"]["passed"] is None
    assert "nothing was run or compared" in found["parity"]["why"]
    said = invoke("export", tiny_bundle.path, "--to", "onnx", "--out", "other", "--ops", "plugin")
    assert said.exit_code == 0
    assert said.stdout.startswith("NOT RUN, NOT COMPARED: no runtime here has kernels")
    line = refused("track", make_clip(), "--box", box, "--model", "./new", "--runtime", "onnx")
    assert "dialect 'plugin'" in line
    assert "--ops ort" in line


def test_too_far_off_is_a_failed_run(
    invoke: Invoke, tiny_bundle: Bundle, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Graphs that hold other weights than the bundle."""
    from framestate.export import bundle

    ready = bundle.write_graphs

    def skewed(spec: Any, weights: Any, folder: Path, *rest: Any) -> dict[str, Path]:
        files = ready(spec, weights, folder, *rest)
        model = onnx.load(files["step.onnx"])
        for tensor in model.graph.initializer:
            if tensor.name.endswith("head.out.bias"):
                values = onnx.numpy_helper.to_array(tensor) + 1
                tensor.CopyFrom(onnx.numpy_helper.from_array(values, tensor.name))
        onnx.save(model, files["step.onnx"])
        return files

    monkeypatch.setattr(bundle, "write_graphs", skewed)
    result = invoke(
        "export", tiny_bundle.path, "--to", "onnx", "--out", "new", "--frames", 6, "--precision", "fp16"
    )
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.splitlines()[-1].startswith("error: onnx differs from eager by")
    assert list(work.iterdir()) == []


def test_what_does_not_go_together(refused: Refused, tiny_bundle: Bundle, work: Path) -> None:
    base = ("export", tiny_bundle.path, "--to", "onnx", "--out", "new")
    assert "dialect 'caffe' is unknown" in refused(*base, "--ops", "caffe")
    assert "precision 'fp8' is unknown" in refused(*base, "--precision", "fp8")
    assert "not made in fp16" in refused(*base, "--ops", "plugin", "--precision", "fp16")
    assert "--calibrate has no use with --precision fp32" in refused(*base, "--calibrate", "clip.mp4")
    line = refused(*base, "--precision", "int8", "--calibrate", "nowhere")
    assert "nowhere is neither a video nor a folder of sequences" in line
    assert list(work.iterdir()) == []


def test_what_int8_is_calibrated_on(
    make_clip: MakeClip, make_sequences: MakeSequences, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sequences = calibration_clips(make_sequences("one", "two"))
    assert [(clip.name, clip.box) for clip in sequences] == [(n, Box(12, 10, 20, 20)) for n in ("one", "two")]
    assert len(list(sequences[0].frames())) == 4
    (middle,) = calibration_clips(make_clip())
    assert middle.box == Box.from_centre(48, 32, 24, 16)
    assert len(list(middle.frames())) == 5
    assert "names no target, so the middle of its first frame is followed" in capsys.readouterr().err
    folder = tmp_path / "named"
    folder.mkdir()
    video = make_clip("named/video.mp4", frames=3)
    (folder / "groundtruth.txt").write_text("5,6,7,8\n" * 3)
    (named,) = calibration_clips(video)
    assert (named.name, named.box) == ("named", Box(5, 6, 7, 8))
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(VideoError):
        calibration_clips(tmp_path / "text.mp4")
    with pytest.raises(DataError, match="neither a video nor"):
        calibration_clips(tmp_path / "nowhere.mp4")


def test_bench_precisions(report: Report, invoke: Invoke, tiny_bundle: Bundle, work: Path) -> None:
    found = report("bench", "precisions", tiny_bundle.path, "--frames", 2, "--repetitions", 3)
    forms = {form["name"]: form for form in found["results"]}
    assert list(forms) == [
        "eager fp32", "eager bf16", "onnx ort fp32", "onnx portable fp32", "onnx ort fp16", "onnx ort int8",
    ]  # fmt: skip
    assert (found["threads"], found["calibrated_on"]) == (1, "rendered clips")
    assert all(form["ms"] > 0 and form["bytes"] > 0 for form in forms.values())
    assert forms["eager fp32"]["max_abs"] == 0
    assert 0 < forms["onnx ort fp32"]["max_abs"] < 1e-3
    assert forms["onnx ort fp16"]["max_abs"] > forms["onnx ort fp32"]["max_abs"]
    assert forms["onnx ort int8"]["bytes"] < forms["onnx ort fp32"]["bytes"]
    assert os.listdir(work) == []
    assert invoke("bench", "precisions", "nope").exit_code == 2
