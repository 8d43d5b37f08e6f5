"""Export proves itself or fails: a graph that is not its model leaves nothing behind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from framestate.bundles import Bundle, load_bundle
from framestate.errors import BundleError, ExportError, FramestateError, ParityError
from framestate.export.bundle import bundle_model
from framestate.export.graphs import declare_names, export_function
from framestate.export.proof import Proof, prove
from framestate.export.trials import TRIALS
from framestate.runtimes import Arrays, Runtime, RuntimeOver, State, open_runtime
from torch import nn


def test_a_bundle_holds_all_that_was_proven(tiny_bundle: Bundle) -> None:
    """The fixture itself went through a real export."""
    assert {"weights.safetensors", "init.onnx", "step.onnx"} <= set(tiny_bundle.files)
    parity = tiny_bundle.parity["onnx"]
    assert isinstance(parity, dict)
    assert parity["frames"] == 5
    assert 0 < parity["max_rel"] <= 1e-4
    assert tiny_bundle.provenance == {"seed": 0}
    assert load_bundle(tiny_bundle.path).hash == tiny_bundle.hash


def test_graphs_name_their_state_and_leave_the_batch_open(tiny_bundle: Bundle) -> None:
    graph = onnx.load(tiny_bundle.file("step.onnx")).graph
    step = tiny_bundle.spec.function("step")
    assert [value.name for value in graph.input] == [
        *(tensor.name for tensor in step.inputs),
        *(f"past_state.{name}" for name in step.reads_state),
    ]
    assert [value.name for value in graph.output] == [
        *(tensor.name for tensor in step.outputs),
        *(f"present_state.{name}" for name in step.writes_state),
    ]
    for value in (*graph.input, *graph.output):
        assert value.type.tensor_type.shape.dim[0].dim_param, value.name
    operators = {(node.domain, node.op_type) for node in graph.node}
    assert ("com.microsoft", "LinearAttention") in operators


@pytest.mark.usefixtures("ready_graphs")
def test_three_hundred_closed_loop_frames(model: nn.Module, tiny_bundle: Bundle, tmp_path: Path) -> None:
    said: list[str] = []
    bundle, parity = bundle_model(
        model,
        tiny_bundle.spec,
        tmp_path / "out",
        provenance={"by": "test"},
        metrics={"a": 1},
        say=said.append,
    )
    assert parity.passed
    assert parity.frames == 300
    assert parity.max_rel <= 1e-4
    assert parity.values["box_drift_px"] <= 0.5
    assert bundle.metrics == {"a": 1}
    assert any("300" in line for line in said)


@pytest.mark.usefixtures("ready_graphs")
@pytest.mark.parametrize("part", ["head.out.bias", "stem.0.weight", "carry_logit"])
def test_other_weights_are_found_out(
    model: nn.Module, tiny_bundle: Bundle, tmp_path: Path, part: str
) -> None:
    """The graphs hold the old weights; a change of a thousandth in one tensor is enough."""
    with torch.no_grad():
        tensor = model.state_dict()[part]
        tensor += 0.02 if part == "carry_logit" else 1e-3
    out = tmp_path / "deep" / "out"
    with pytest.raises(ParityError, match=r"onnx differs from eager by .*no bundle was written"):
        bundle_model(model, tiny_bundle.spec, out, provenance={}, frames=12)
    assert not out.exists()
    assert list(tmp_path.rglob("*.onnx")) == []


@pytest.mark.usefixtures("ready_graphs")
def test_a_failed_export_leaves_the_bundle_that_stood_there(
    model: nn.Module, tiny_bundle: Bundle, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    first, _ = bundle_model(model, tiny_bundle.spec, out, provenance={"run": 1}, frames=2)
    with pytest.raises(BundleError, match="exists already"):
        bundle_model(model, tiny_bundle.spec, out, provenance={"run": 2}, frames=2)
    with torch.no_grad():
        model.state_dict()["head.out.bias"] += 1
    with pytest.raises(ParityError):
        bundle_model(model, tiny_bundle.spec, out, provenance={"run": 3}, frames=2, replace=True)
    assert load_bundle(out).provenance == {"run": 1}
    with torch.no_grad():
        model.state_dict()["head.out.bias"] -= 1
    again, _ = bundle_model(model, tiny_bundle.spec, out, provenance={"run": 4}, frames=2, replace=True)
    assert load_bundle(out).provenance == {"run": 4}
    assert again.spec == first.spec


class Skewed(RuntimeOver):
    """A runtime whose answers or states are wrong in one way."""

    def __init__(self, runtime: Runtime, where: str, how: Callable[[Any], Any]) -> None:
        super().__init__(runtime)
        self._where, self._how = where, how

    def call(self, function: str, inputs: Arrays, state: State | None) -> tuple[Arrays, State | None]:
        outputs, written = super().call(function, inputs, state)
        changed = dict(written or {})
        for tensors in (outputs, changed):
            if self._where in tensors:
                tensors[self._where] = self._how(tensors[self._where])
        return outputs, changed


def parity_of(bundle: Bundle, where: str, how: Callable[[Any], Any]) -> Proof:
    reference = open_runtime(bundle, "eager", device="cpu", threads=1)
    candidate = open_runtime(bundle, "onnx", device="cpu", threads=1)
    return prove(reference, Skewed(candidate, where, how), frames=8)


def test_parity_sees_nothing_where_there_is_nothing(tiny_bundle: Bundle) -> None:
    parity = parity_of(tiny_bundle, "nowhere", lambda value: value)
    assert parity.passed
    same = open_runtime(tiny_bundle, "onnx", threads=1)
    exact = prove(same, same, frames=4)
    assert (exact.max_abs, exact.max_rel, exact.values["box_drift_px"]) == (0, 0, 0)


@pytest.mark.parametrize(
    ("where", "how"),
    [
        ("score", lambda value: value + np.float32(1e-3)),
        ("size", lambda value: value[..., ::-1].copy()),
        ("layers.1.0.ssm", lambda value: value * np.float32(1.01)),
        ("layers.0.0.conv", lambda value: value + np.float32(1e-2)),
        ("score", lambda value: np.concatenate([value, value], axis=1)),
    ],
)
def test_parity_sees_every_kind_of_fault(tiny_bundle: Bundle, where: str, how: Callable[[Any], Any]) -> None:
    assert not parity_of(tiny_bundle, where, how).passed


def test_numbers_that_are_none_stop_the_comparison(tiny_bundle: Bundle) -> None:
    for where in ("offset", "log_variance", "layers.0.0.ssm", "template.features"):
        with pytest.raises(FramestateError, match=r"finite|deviations"):
            parity_of(tiny_bundle, where, lambda value: value * np.float32("nan"))


@pytest.mark.parametrize(
    ("max_rel", "drift", "passed"),
    [(1e-4, 0.5, True), (1.1e-4, 0.0, False), (0.0, 0.6, False), (float("inf"), 0.0, False)],
)
def test_both_tolerances_count(max_rel: float, drift: float, passed: bool) -> None:
    trial = TRIALS["tracking"]
    values = {"box_drift_px": drift, "median_drift_px": drift, "overlap_loss": 1.0}
    assert (trial.tolerance.relative, trial.tolerance.limits["box_drift_px"]) == (1e-4, 0.5)
    assert Proof(1, 0.0, max_rel, values, trial.tolerance, trial.measures).passed is passed


class Unexportable(nn.Module):
    """Its step asks for a number while it is traced."""

    def functions(self) -> dict[str, Any]:
        return {"step": self.step, "init": self.init}

    def init(self, inputs: Any, state: Any) -> Any:
        return {}, {}

    def step(self, inputs: Any, state: Any) -> Any:
        return {"score": inputs["search"].numpy()}, {}


def test_what_cannot_be_exported_says_which_function(tiny_bundle: Bundle, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"function 'step' of 'tiny' fails for a batch of 2 \(.+\)"):
        export_function(Unexportable(), tiny_bundle.spec, "step", tmp_path / "step.onnx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("side", ["inputs", "outputs"])
def test_a_graph_that_lost_a_name_is_refused(tiny_bundle: Bundle, side: str) -> None:
    """ONNX Runtime would only say that a name is unknown, and only when a session runs."""
    spec = tiny_bundle.spec
    proto = onnx.load(tiny_bundle.file("step.onnx"))
    names = [value.name for value in proto.graph.input], [value.name for value in proto.graph.output]
    declare_names(proto, *names, spec, "step")
    assert (proto.producer_name, proto.doc_string) == ("framestate", "tiny: step")
    lost = proto.graph.input if side == "inputs" else proto.graph.output
    del lost[1]
    with pytest.raises(ExportError, match=rf"graph of 'step' has {side} .*; the spec says"):
        declare_names(proto, *names, spec, "step")
