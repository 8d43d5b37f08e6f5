"""Dialects and precisions as they are asked for: what a bundle says of itself, and what is refused."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from framestate.bundles import Bundle, write_bundle
from framestate.engine import Engine
from framestate.errors import OptionError, ParityError, RuntimeUnavailableError
from framestate.export import bundle as exporting
from framestate.export.bundle import GraphOptions, bundle_model, bundle_unproven
from framestate.export.calibration import synthetic_clips
from framestate.export.proof import Proof
from framestate.export.trials import TRIALS, Tolerance, tolerance_of
from framestate.models import build_model, load_weights
from framestate.plugins import eager_operators
from framestate.runtimes import open_runtime
from torch import nn


@pytest.mark.usefixtures("ready_graphs")
def test_the_manifest_says_how_the_graphs_were_made(
    tiny_bundle: Bundle, model: nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        exporting, "tolerance_of", lambda task, precision: Tolerance(1.0, {"median_drift_px": 1e3})
    )
    said: list[str] = []
    bundle, parity = bundle_model(
        model, tiny_bundle.spec, tmp_path / "out", provenance={"seed": 0}, frames=4,
        options=GraphOptions(precision="int8"), say=said.append,
    )  # fmt: skip
    about: Any = bundle.parity["onnx"]
    assert (about["dialect"], about["precision"], about["opset"]) == ("ort", "int8", 20)
    assert about["calibration"]["synthetic"] is True
    assert about["calibration"]["feeds"]["step"] > 8
    assert (about["frames"], about["max_rel"]) == (4, parity.max_rel)
    assert bundle.provenance == {"seed": 0}
    assert any("synthetic" in line for line in said)
    assert open_runtime(bundle, "onnx", threads=1).spec == tiny_bundle.spec


@pytest.mark.usefixtures("ready_graphs")
def test_beyond_the_tolerance_of_its_precision(tiny_bundle: Bundle, model: nn.Module, tmp_path: Path) -> None:
    with torch.no_grad():
        model.state_dict()["head.out.bias"] += 1  # the graphs hold the old weights
    with pytest.raises(ParityError, match=r"onnx differs from eager by .*median frame.*overlap"):
        bundle_model(
            model, tiny_bundle.spec, tmp_path / "out", provenance={}, frames=8,
            options=GraphOptions(precision="fp16"),
        )  # fmt: skip
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_asked_for(tiny_bundle: Bundle, model: nn.Module, tmp_path: Path) -> None:
    for wrong, words in (
        ({"dialect": "caffe"}, "dialect 'caffe' is unknown.*ort, portable, plugin"),
        ({"precision": "fp8"}, "precision 'fp8' is unknown.*fp32, fp16, int8"),
        ({"dialect": "plugin", "precision": "int8"}, "not made in int8"),
        ({"clips": synthetic_clips(2)}, "fp32 is not calibrated"),
    ):
        with pytest.raises(OptionError, match=words):
            GraphOptions(**wrong)
    with pytest.raises(OptionError, match="bundle_unproven"):
        bundle_model(
            model, tiny_bundle.spec, tmp_path / "out", provenance={}, options=GraphOptions(dialect="plugin")
        )


@pytest.mark.parametrize(
    ("worst_px", "median_px", "loss", "passed"),
    [(50.0, 1.0, 0.0, True), (3.0, 3.0, 0.0, False), (3.0, 1.0, 0.2, False), (3.0, 1.0, -0.2, True)],
)
def test_in_smaller_numbers_the_median_and_the_overlap_count(
    worst_px: float, median_px: float, loss: float, passed: bool
) -> None:
    allowed = tolerance_of("tracking", "fp16")
    values = {"box_drift_px": worst_px, "median_drift_px": median_px, "overlap_loss": loss}
    proof = Proof(9, 0.0, 0.01, values, allowed, TRIALS["tracking"].measures)
    assert proof.passed is passed
    said = proof.to_json()
    assert (said["counted"], said["drift_tolerance_px"]) == ("median", 2.0)
    assert tolerance_of("tracking") == Tolerance(1e-4, {"box_drift_px": 0.5})
    assert tolerance_of("tracking", "bf16") == allowed  # what is none of ours


@pytest.fixture(scope="module")
def plugin_bundle(tiny_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    built = build_model(tiny_bundle.spec, eager_operators())
    load_weights(built, tiny_bundle.weights())
    return bundle_unproven(
        built, tiny_bundle.spec, tmp_path_factory.mktemp("plugin") / "out", provenance={"seed": 0}
    )


def test_plugin_graphs_say_that_nothing_was_proven(plugin_bundle: Bundle) -> None:
    about: Any = plugin_bundle.parity["onnx"]
    assert (about["dialect"], about["frames"], about["passed"]) == ("plugin", 0, None)
    assert "nothing was run or compared" in about["why"]
    proto = onnx.load(plugin_bundle.file("step.onnx"))
    assert Counter(n.op_type for n in proto.graph.node if n.domain == "framestate") == {
        "SsdScan": 2, "CausalConv1d": 2,
    }  # fmt: skip


def test_no_runtime_here_takes_plugin_graphs(plugin_bundle: Bundle) -> None:
    assert open_runtime(plugin_bundle, device="cpu", threads=1).name == "eager"  # auto passes them over
    with pytest.raises(RuntimeUnavailableError, match=r"dialect 'plugin'.*ONNX Runtime has none.*--ops ort"):
        open_runtime(plugin_bundle, "onnx")
    with pytest.raises(RuntimeUnavailableError, match="dialect 'plugin'"):
        Engine.load(plugin_bundle, runtime="onnx")
    unlabelled = write_bundle(  # whoever forgets to say so in the manifest is told by the graph itself
        plugin_bundle.path.parent / "unlabelled", plugin_bundle.spec,
        {name: plugin_bundle.file(name) for name in plugin_bundle.files},
        provenance={}, metrics={}, parity={},
    )  # fmt: skip
    with pytest.raises(RuntimeUnavailableError, match=r"init.onnx is in the dialect 'plugin'.*--ops ort"):
        open_runtime(unlabelled, "onnx")
