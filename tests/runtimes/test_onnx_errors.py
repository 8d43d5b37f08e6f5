"""What a damaged, foreign or too new graph says: typed, with the value and the remedy, from real files."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from framestate.bundles import Bundle, load_bundle, write_bundle
from framestate.engine import Engine
from framestate.errors import (
    BundleError,
    BundleIntegrityError,
    BundleVersionError,
    ParityError,
    RuntimeUnavailableError,
    StateError,
)
from framestate.export.bundle import prove
from framestate.runtimes import Arrays, open_runtime
from framestate.runtimes.onnx import OnnxRuntime
from framestate.runtimes.onnx_sessions import reason

Edit = Callable[[onnx.ModelProto], None]
Damage = Callable[..., Bundle]
FIRST, SECOND = "layers.0.0.ssm", "layers.1.0.ssm"


@pytest.fixture
def damage(tiny_bundle: Bundle, tmp_path: Path) -> Damage:
    """The small tracker with ``step.onnx`` edited, or replaced by some bytes."""

    def make(edit: Edit | None = None, content: bytes | None = None) -> Bundle:
        files: dict[str, Path | bytes] = {name: tiny_bundle.file(name) for name in tiny_bundle.files}
        if edit is not None:
            model = onnx.load(tiny_bundle.file("step.onnx"))
            edit(model)
            content = model.SerializeToString()
        if content is not None:
            files["step.onnx"] = content
        return write_bundle(
            tmp_path / "damaged", tiny_bundle.spec, files, provenance={}, metrics={}, parity={}
        )

    return make


@pytest.fixture
def copied(tiny_bundle: Bundle, tmp_path: Path) -> Path:
    """A copy of the small tracker's folder, to be tampered with."""
    return Path(shutil.copytree(tiny_bundle.path, tmp_path / "copied"))


def rename(model: onnx.ModelProto, names: dict[str, str]) -> None:
    for values in (model.graph.input, model.graph.output):
        for value in values:
            value.name = names.get(value.name, value.name)
    for node in model.graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]


def opset(domain: str, version: int) -> Edit:
    def edit(model: onnx.ModelProto) -> None:
        next(entry for entry in model.opset_import if entry.domain == domain).version = version

    return edit


def ir_version(model: onnx.ModelProto) -> None:
    model.ir_version = 99


def operator(name: str, domain: str) -> Edit:
    def edit(model: onnx.ModelProto) -> None:
        node = next(node for node in model.graph.node if node.op_type == "LinearAttention")
        node.op_type, node.domain = name, domain
        if domain not in {entry.domain for entry in model.opset_import}:
            model.opset_import.append(onnx.helper.make_opsetid(domain, 1))

    return edit


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (
            opset("", 99),
            r"step.onnx is of a newer ONNX than ONNX Runtime [\d.]+ knows \(.*opset 99.*update it",
        ),
        (opset("com.microsoft", 2), r"of a newer ONNX.*com.microsoft.*or export the model again"),
        (ir_version, r"of a newer ONNX .*IR version: 99"),
        (operator("LinearAttention2", "com.microsoft"), r"operator that .*LinearAttention2.*--ops portable"),
        (operator("Softpluss", ""), r"operator that ONNX Runtime .* does not have .*Softpluss"),
        (operator("SsdScan", "framestate"), r"in the dialect 'plugin'.*SsdScan.*--ops ort"),
    ],
)
def test_what_this_onnx_runtime_does_not_have(damage: Damage, edit: Edit, words: str) -> None:
    with pytest.raises(RuntimeUnavailableError, match=words) as caught:
        open_runtime(damage(edit), "onnx", threads=1)
    assert "/onnxruntime_src/" not in str(caught.value)  # no places in somebody else's C++
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"\x08\x0a", b"this is no graph", b"\xff" * 300])
def test_files_that_are_no_graphs(damage: Damage, content: bytes) -> None:
    with pytest.raises(BundleError, match=r"step.onnx|onnx"):
        open_runtime(damage(content=content), "onnx", threads=1)


def test_a_truncated_graph(tiny_bundle: Bundle, damage: Damage) -> None:
    whole = tiny_bundle.file("step.onnx").read_bytes()
    with pytest.raises(BundleError, match=r"step.onnx"):
        open_runtime(damage(content=whole[: len(whole) // 2]), "onnx", threads=1)


def test_states_of_different_shapes_swapped(damage: Damage) -> None:
    swapped = {"layers.0.0.conv": "layers.0.0.start", "layers.0.0.start": "layers.0.0.conv"}

    def edit(model: onnx.ModelProto) -> None:
        rename(model, {f"past_state.{one}": f"past_state.{other}" for one, other in swapped.items()})

    with pytest.raises(BundleError, match=r"past_state.layers.0.0.\w+ of step.onnx is float32 .*swapped"):
        open_runtime(damage(edit), "onnx", threads=1)


def test_states_of_one_shape_swapped_are_found_by_the_proof(damage: Damage) -> None:
    """From outside such a graph looks right, so nothing but running it can tell."""

    def edit(model: onnx.ModelProto) -> None:
        rename(
            model,
            {
                f"{side}.{one}": f"{side}.{other}"
                for side in ("past_state", "present_state")
                for one, other in ((FIRST, SECOND), (SECOND, FIRST))
            },
        )

    bundle = damage(edit)
    open_runtime(bundle, "onnx", threads=1).close()
    with pytest.raises(ParityError, match="onnx differs from eager"):
        prove(bundle, 3, print)


def test_a_graph_for_another_state(damage: Damage) -> None:
    def edit(model: onnx.ModelProto) -> None:
        value = next(value for value in model.graph.input if value.name == f"past_state.{FIRST}")
        value.type.tensor_type.shape.dim[1].dim_value += 1

    with pytest.raises(BundleError, match=r"step.onnx cannot be loaded \(.*Incompatible dimensions"):
        open_runtime(damage(edit), "onnx", threads=1)


@pytest.mark.parametrize("rows", [1, 2])
def test_a_graph_for_so_many_rows_only(damage: Damage, rows: int) -> None:
    """One row at a time is fine, as a CPU runs a session a call; any other number can never be met."""

    def edit(model: onnx.ModelProto) -> None:
        model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = rows

    if rows == 1:
        open_runtime(damage(edit), "onnx", threads=1).close()
        return
    with pytest.raises(BundleError, match=r"search of step.onnx is float32 \(2, 3, 64, 64\).*\('batch', 3"):
        open_runtime(damage(edit), "onnx", threads=1)


def test_a_graph_of_another_dtype(damage: Damage) -> None:
    def edit(model: onnx.ModelProto) -> None:
        rename(model, {"carry": "carried"})
        carry = next(value for value in model.graph.input if value.name == "carried")
        carry.name, carry.type.tensor_type.elem_type = "carry", onnx.TensorProto.DOUBLE
        cast = onnx.helper.make_node("Cast", ["carry"], ["carried"], to=onnx.TensorProto.FLOAT)
        model.graph.node.insert(0, cast)

    with pytest.raises(BundleError, match=r"carry of step.onnx is float64 .*; the manifest says float32"):
        open_runtime(damage(edit), "onnx", threads=1)


def test_auto_says_why_it_passed_the_graphs_over(damage: Damage) -> None:
    """Weights are there, so the bundle still runs; without them, the reason comes out."""
    bundle = damage(opset("", 99))
    assert open_runtime(bundle, device="cpu", threads=1).name == "eager"
    (bundle.path / "weights.safetensors").unlink()
    without = replace(bundle, files={n: f for n, f in bundle.files.items() if "safetensors" not in n})
    with pytest.raises(RuntimeUnavailableError, match=r"onnx: step.onnx is of a newer ONNX.*doctor"):
        open_runtime(without)


def test_a_state_of_another_shape_at_the_call(tiny_bundle: Bundle, crops: Arrays) -> None:
    runtime = open_runtime(tiny_bundle, "onnx", threads=1)
    _, state = runtime.call("init", {"template": crops["template"]}, None)
    assert state is not None
    wrong = {**state, FIRST: np.zeros((3, 1, 2, 3), np.float32)}
    with pytest.raises(StateError, match=rf"state '{FIRST}' of step is float32 \(3, 1, 2, 3\).*it must be"):
        runtime.call("step", {name: crops[name] for name in ("search", "carry")}, wrong)


def test_a_bundle_of_another_version(copied: Path) -> None:
    manifest = json.loads((copied / "manifest.json").read_text())
    manifest["format_version"] = 2
    (copied / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(
        BundleVersionError, match=r"format version 2; this Framestate reads version 1.*Update"
    ):
        Engine.load(copied)


@pytest.mark.parametrize("name", ["step.onnx", "weights.data"])
def test_one_changed_byte(copied: Path, name: str) -> None:
    content = bytearray((copied / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copied / name).write_bytes(content)
    with pytest.raises(BundleIntegrityError, match=rf"{name} has the sha256 .* where the manifest says"):
        Engine.load(copied)


def test_shared_weights_that_went_missing_after_the_check(copied: Path) -> None:
    bundle = load_bundle(copied)
    (copied / "weights.data").unlink()
    with pytest.raises(BundleError, match=r"init.onnx cannot be loaded \(.*weights.data"):
        open_runtime(bundle, "onnx", threads=1)


def test_devices(tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(RuntimeUnavailableError, match="no device 'tpu'"):
        OnnxRuntime(tiny_bundle, device="tpu")
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CPUExecutionProvider"])
    with pytest.raises(RuntimeUnavailableError, match=r"no device 'cuda'.*onnxruntime-gpu\[cuda,cudnn\]"):
        open_runtime(tiny_bundle, "onnx", device="cuda")


def test_a_gpu_provider_that_does_not_start(tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    """ONNX Runtime falls back to the CPU without an error; here that is one."""
    session = onnxruntime.InferenceSession
    providers = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: providers)
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda: None)
    monkeypatch.setattr(
        onnxruntime, "InferenceSession", lambda graph, options, _: session(graph, options, providers[1:])
    )
    with pytest.raises(RuntimeUnavailableError, match="could not start its CUDA provider"):
        open_runtime(tiny_bundle, "onnx", device="cuda")


def test_reasons_are_short() -> None:
    place = "/src/core/graph.cc:46 void check(const std::map<int>&) "
    assert reason(Exception(f"[ONNXRuntimeError] : 1 : FAIL : {place}Too new: 3. \n")) == "Too new: 3"
    assert reason(ValueError()) == "ValueError"
