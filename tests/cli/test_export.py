"""``framestate export``."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from framestate.bundles import load_bundle
from framestate.cli.export import model_argument, next_commands
from framestate.errors import ParityError
from typer.testing import Result

Invoke = Callable[..., Result]
Report = Callable[..., dict[str, Any]]
Refused = Callable[..., str]


@pytest.mark.slow
def test_an_export_proves_itself(invoke: Invoke, report: Report, work: Path) -> None:
    pytest.importorskip("torch")
    found = report("export", "tracker-nano", "--to", "onnx", "--out", "new", "--frames", 3)
    assert (found["bundle"], found["runtime"]) == ("new", "onnx")
    names = ("init.onnx", "look.onnx", "step.onnx", "weights.data", "weights.safetensors")
    assert set(found["files"]) == {f"new/{name}" for name in names}
    assert (found["ops"], found["precision"], found["calibration"]) == ("ort", "fp32", None)
    for path, size in found["files"].items():
        assert (work / path).stat().st_size == size
    parity = found["parity"]
    assert parity["passed"] is True
    assert parity["frames"] == 3
    assert parity["max_rel"] <= parity["tolerance"]
    assert found["seconds"] > 0
    made = load_bundle("./new")
    assert made.spec == load_bundle("tracker-nano").spec
    assert made.provenance == load_bundle("tracker-nano").provenance
    assert [path.name for path in work.iterdir()] == ["new"]


def test_beyond_the_tolerance_nothing_is_left(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch, work: Path
) -> None:
    pytest.importorskip("torch")

    def differ(*_: object, **__: object) -> None:
        raise ParityError("onnx differs from eager by 1.0e+00", "no bundle was written")

    monkeypatch.setattr("framestate.export.bundle.write_graphs", lambda *_: {})
    monkeypatch.setattr("framestate.export.bundle.finish_graphs", lambda *_: {})
    monkeypatch.setattr("framestate.export.bundle.prove", differ)
    result = invoke("export", "tracker-nano", "--to", "onnx", "--out", "new", "--json")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.splitlines()[-1].startswith("error: onnx differs from eager by 1.0e+00")
    assert list(work.iterdir()) == []


def test_what_there_is_not(refused: Refused) -> None:
    assert "--to coreml is unknown" in refused("export", "tracker-nano", "--to", "coreml", "--out", "new")


@pytest.mark.skipif(importlib.util.find_spec("tensorrt") is not None, reason="TensorRT is installed")
def test_plans_without_tensorrt(refused: Refused, work: Path) -> None:
    """The refusal names what is missing and what to do, and leaves nothing behind."""
    pytest.importorskip("torch")
    to = ("export", "tracker-nano", "--to", "tensorrt", "--out", "new")
    line = refused(*to)
    assert "TensorRT or pycuda does not import" in line
    assert "framestate[tensorrt]" in line
    assert "--ops portable has no use" in refused(*to, "--ops", "portable")
    assert "plans are not built in 'int8'" in refused(*to, "--precision", "int8")
    assert "'nope'" in refused("export", "nope", "--to", "tensorrt", "--out", "new")
    assert "does not import" in refused("export", "interp-nano", "--to", "tensorrt", "--out", "new")
    assert list(work.iterdir()) == []


def test_bad_input(refused: Refused, work: Path) -> None:
    assert "'nope'" in refused("export", "nope", "--to", "onnx", "--out", "new")
    (work / "thesis").mkdir()
    (work / "thesis" / "a.txt").touch()
    assert "thesis exists already" in refused("export", "tracker-nano", "--to", "onnx", "--out", "thesis")


def test_a_system_without_weights_is_exported_untrained(report: Report, refused: Refused, work: Path) -> None:
    pytest.importorskip("torch")
    line = refused("export", "vil-tracker", "--to", "onnx", "--out", "new")
    assert "no weights of vil-tracker come with Framestate" in line
    assert "framestate export vil-tracker --untrained" in line
    line = refused("export", "vil-huge", "--to", "onnx", "--out", "new", "--untrained")
    assert "no system vil-huge" in line
    found = report("export", "interp-nano", "--untrained", "--to", "onnx", "--out", "new", "--frames", 2)
    assert found["parity"]["passed"] is True
    made = load_bundle("./new")
    shipped = load_bundle("interp-nano").spec
    assert (made.spec.functions, made.spec.state) == (shipped.functions, shipped.state)
    assert made.provenance == {"trained_on": "random weights of seed 0, for measuring"}


BUILD = """
from framestate.models import build_model

def build(spec, operators):
    print("this is mine")
    return build_model(spec, operators)

broken = 3
"""


def test_code_of_the_user_makes_the_model(
    invoke: Invoke, refused: Refused, work: Path, tmp_path: Path
) -> None:
    pytest.importorskip("torch")
    (tmp_path / "mine.py").write_text(BUILD)
    arguments = ("export", "tracker-nano", "--to", "onnx", "--out", "new", "--frames", "2")
    result = invoke(*arguments, "--build", f"{tmp_path / 'mine.py'}:build")
    assert result.exit_code == 0, result.stderr
    assert load_bundle("./new").parity["onnx"]
    for place, problem in (
        ("mine.py", "names no file and function"),
        (f"{tmp_path / 'none.py'}:build", "names no file and function"),
        (f"{tmp_path / 'mine.py'}:nothing", "has no function nothing"),
        (f"{tmp_path / 'mine.py'}:broken", "has no function broken"),
    ):
        assert problem in refused("export", "tracker-nano", "--to", "onnx", "--out", "n", "--build", place)
    (tmp_path / "mine.py").write_text("1 / 0")
    line = refused(
        "export", "tracker-nano", "--to", "onnx", "--out", "n", "--build", f"{tmp_path / 'mine.py'}:build"
    )
    assert "the file fails (ZeroDivisionError: division by zero)" in line


def test_the_next_commands_can_be_pasted() -> None:
    commands = next_commands(Path("my models"), "onnx")
    assert [line.split(":")[0] for line in commands] == ["Predict", "Validate", "Visualize"]
    assert all(line.endswith("--model './my models' --runtime onnx") for line in commands)
    assert model_argument(Path("/a/b")) == "/a/b"
