"""``framestate models`` and ``framestate doctor``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from framestate.bundles import default_bundles, load_bundle
from framestate.cli.kernels import inspect_kernels
from framestate.cli.models import trained_on
from framestate.models.systems import SYSTEMS
from framestate.runtimes import RuntimeReport
from typer.testing import Result

Invoke = Callable[..., Result]
Report = Callable[..., dict[str, Any]]


def test_the_models(report: Report, invoke: Invoke) -> None:
    models = {model["name"]: model for model in report("models")["models"]}
    assert [name for name, model in models.items() if model["ships"]] == default_bundles()
    assert set(models) == {*default_bundles(), *(one.name for one in SYSTEMS)}
    tracker = models["tracker-nano"]
    assert set(tracker) == {
        "name", "ships", "task", "parameters", "state_bytes", "runtimes", "trained_on", "metrics",
    }  # fmt: skip
    bundle = load_bundle("tracker-nano")
    assert tracker["task"] == "tracking"
    assert tracker["parameters"] == bundle.parameters > 100_000
    assert tracker["state_bytes"] == bundle.spec.state_bytes
    assert tracker["runtimes"] == ["onnx", "eager"]
    shown = invoke("models")
    assert shown.exit_code == 0
    assert f"{bundle.parameters:,}" in shown.stdout
    assert models["vil-tracker"]["parameters"] == 36_262_313
    for one in SYSTEMS:
        assert one.name in shown.stdout


def test_what_a_model_was_trained_on() -> None:
    assert trained_on({}) is None
    assert trained_on({"trained_on": "koi"}) == "koi"
    images = {"a.zip": {"stills": 1200, "objects": 3}, "b.zip": {"stills": 34}}
    data = {"images": images, "clips": 98, "frames": 12345}
    assert trained_on({"data": data}) == "1,234 pictures (a, b); 98 clips (12,345 frames)"


def test_the_doctor(report: Report, invoke: Invoke) -> None:
    found = report("doctor")
    assert found["python"].startswith("3.")
    assert found["platform"]
    assert set(found["runtimes"]) >= {"onnx", "eager"}
    for runtime in found["runtimes"].values():
        assert set(runtime) == {"usable", "version", "devices", "why_not", "remedy"}
        assert runtime["usable"] or runtime["why_not"]
    assert found["runtimes"]["onnx"]["usable"]
    assert set(found["kernels"]) >= {"triton", "mamba_ssm", "causal_conv1d"}
    for entry in (*found["kernels"].values(), *found["peers"].values()):
        assert entry["usable"] or entry["why_not"]
    assert found["tasks"] == ["tracking", "interpolation", "classification", "stream"]
    assert found["peers"]["mil"]["usable"]
    shown = invoke("doctor")
    assert shown.exit_code == 0
    for word in ("onnx", "triton", "csrt", "Python"):
        assert word in shown.stdout


def test_the_operators_of_exported_models_are_there() -> None:
    kernels = inspect_kernels()
    assert kernels["onnxruntime.LinearAttention"].usable
    assert kernels["onnxruntime.CausalConvWithState"].usable


def test_no_runtime_at_all_is_a_failed_check(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    none = {"onnx": RuntimeReport(False, "", (), "missing onnxruntime", "pip install onnxruntime")}
    monkeypatch.setattr("framestate.runtimes.inspect_runtimes", lambda: none)
    result = invoke("doctor")
    assert result.exit_code == 1
    assert "missing onnxruntime" in result.stdout
    assert "pip install onnxruntime" in result.stderr
