"""Which runtime opens, what is said when none can, and that those which open agree."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from framestate.bundles import Bundle, write_bundle
from framestate.errors import (
    BundleError,
    OptionError,
    RuntimeUnavailableError,
    StepError,
    UnknownRuntimeError,
)
from framestate.runtimes import Arrays, choice, default_threads, inspect_runtimes, open_runtime
from framestate.runtimes.choice import RuntimeEntry, runtime_table

Rewrite = Callable[..., Bundle]


@pytest.fixture
def rewrite(tiny_bundle: Bundle, tmp_path: Path) -> Rewrite:
    """The small tracker with other files."""

    def make(without: str = "", **files: bytes) -> Bundle:
        kept: dict[str, Path | bytes] = {
            name: tiny_bundle.file(name) for name in tiny_bundle.files if not without or without not in name
        }
        changed = {name.replace("_onnx", ".onnx"): content for name, content in files.items()}
        return write_bundle(
            tmp_path / "other", tiny_bundle.spec, {**kept, **changed}, provenance={}, metrics={}, parity={}
        )

    return make


def missing(name: str) -> RuntimeEntry:
    """An entry of the table whose package is not installed."""
    entry = next(entry for entry in runtime_table() if entry.name == name)
    return replace(entry, needs=("a_package_that_is_nowhere",))


def test_onnx_and_eager_agree(tiny_bundle: Bundle, crops: Arrays) -> None:
    """Each on its own state for fifty frames."""
    maps: dict[str, list[Arrays]] = {}
    for name in ("onnx", "eager"):
        runtime = open_runtime(tiny_bundle, name, device="cpu", threads=1)
        _, state = runtime.call("init", {"template": crops["template"]}, None)
        store = runtime.allocate(3)
        store.write([0, 1, 2], state or {})
        maps[name] = []
        for frame in range(50):
            search = np.roll(crops["search"], 3 * frame, axis=3)
            outputs, written = runtime.call(
                "step", {"search": search, "carry": crops["carry"]}, store.read([0, 1, 2])
            )
            store.write([0, 1, 2], written or {})
            maps[name].append(outputs)
        runtime.close()
    for ours, theirs in zip(maps["onnx"], maps["eager"], strict=True):
        for name, value in ours.items():
            worst = np.abs(value - theirs[name]).max() / np.abs(theirs[name]).max()
            assert worst <= 1e-4, name


def test_a_precision_by_name(tiny_bundle: Bundle, rewrite: Rewrite) -> None:
    """Graphs have the one that they were exported in; PyTorch takes it as it comes."""
    assert open_runtime(tiny_bundle, threads=1, precision="fp32").name == "onnx"
    assert open_runtime(tiny_bundle, device="cpu", threads=1, precision="bf16").name == "eager"
    with pytest.raises(RuntimeUnavailableError, match=r"'onnx' is fp32, not fp16.*--precision fp16"):
        open_runtime(tiny_bundle, "onnx", threads=1, precision="fp16")
    with pytest.raises(OptionError, match=r"'fp8' is unknown.*choose one of fp32"):
        open_runtime(tiny_bundle, threads=1, precision="fp8")
    with pytest.raises(OptionError, match="eager runtime has no precision 'int8'"):
        open_runtime(tiny_bundle, "eager", device="cpu", threads=1, precision="int8")


def test_auto_takes_the_first_that_can(
    tiny_bundle: Bundle, rewrite: Rewrite, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert open_runtime(tiny_bundle, threads=1).name == "onnx"
    assert open_runtime(rewrite(without="step.onnx"), device="cpu", threads=1).name == "eager"
    eager = next(entry for entry in runtime_table() if entry.name == "eager")
    monkeypatch.setattr(choice, "runtime_table", lambda: (missing("onnx"), eager))
    assert open_runtime(tiny_bundle, device="cpu", threads=1).name == "eager"


def test_when_none_can_every_reason_is_given(
    tiny_bundle: Bundle, rewrite: Rewrite, monkeypatch: pytest.MonkeyPatch
) -> None:
    onnx_entry = next(entry for entry in runtime_table() if entry.name == "onnx")
    monkeypatch.setattr(choice, "runtime_table", lambda: (missing("onnx"), missing("eager")))
    with pytest.raises(
        RuntimeUnavailableError, match=r"onnx is not installed; eager is not installed.*doctor"
    ):
        open_runtime(tiny_bundle)
    monkeypatch.setattr(choice, "runtime_table", lambda: (missing("eager"), onnx_entry))
    with pytest.raises(RuntimeUnavailableError, match="eager is not installed; the bundle has no files for"):
        open_runtime(rewrite(without=".onnx"))


def test_a_runtime_that_is_not_installed_names_its_remedy(
    tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(choice, "runtime_table", lambda: (missing("eager"),))
    with pytest.raises(
        RuntimeUnavailableError, match=r"a_package_that_is_nowhere.*pip install framestate\[torch\]"
    ):
        open_runtime(tiny_bundle, "eager")


def test_a_runtime_that_there_is_not(tiny_bundle: Bundle) -> None:
    with pytest.raises(
        UnknownRuntimeError, match=r"'openvino' is no runtime.*auto or one of tensorrt, onnx, eager"
    ):
        open_runtime(tiny_bundle, "openvino")


@pytest.mark.parametrize("name", ["onnx", "eager"])
def test_a_bundle_without_the_files(rewrite: Rewrite, name: str) -> None:
    bundle = rewrite(without=".onnx" if name == "onnx" else "weights.safetensors")
    with pytest.raises(RuntimeUnavailableError, match=f"no files for runtime '{name}'.*framestate export"):
        open_runtime(bundle, name)


@pytest.mark.parametrize(("device", "threads"), [("gpu", 1), ("", 1), ("cpu", 0), ("cpu", -2)])
def test_devices_and_threads_that_there_are_not(tiny_bundle: Bundle, device: str, threads: int) -> None:
    with pytest.raises(OptionError, match=f"device is '{device}' and threads is {threads}"):
        open_runtime(tiny_bundle, device=device, threads=threads)


def test_onnx_has_no_cuda_device(tiny_bundle: Bundle) -> None:
    with pytest.raises(RuntimeUnavailableError, match="no device 'cuda'"):
        open_runtime(tiny_bundle, "onnx", device="cuda")


def test_eager_without_cuda_says_so(tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(RuntimeUnavailableError, match="PyTorch sees none"):
        open_runtime(tiny_bundle, "eager", device="cuda")


def changed(bundle: Bundle, edit: Callable[[onnx.ModelProto], None]) -> bytes:
    model = onnx.load(bundle.file("step.onnx"))
    edit(model)
    return bytes(model.SerializeToString())


def test_a_graph_with_an_operator_that_is_not_there(tiny_bundle: Bundle, rewrite: Rewrite) -> None:
    def edit(model: onnx.ModelProto) -> None:
        next(n for n in model.graph.node if n.op_type == "LinearAttention").op_type = "LinearAttention99"

    with pytest.raises(RuntimeUnavailableError, match=r"step.onnx uses an operator.*--ops portable"):
        open_runtime(rewrite(step_onnx=changed(tiny_bundle, edit)), "onnx")


def test_a_graph_of_an_opset_to_come(tiny_bundle: Bundle, rewrite: Rewrite) -> None:
    def edit(model: onnx.ModelProto) -> None:
        next(o for o in model.opset_import if o.domain == "").version = 99

    with pytest.raises(RuntimeUnavailableError, match=r"step.onnx is of a newer ONNX than"):
        open_runtime(rewrite(step_onnx=changed(tiny_bundle, edit)), "onnx")


def test_a_graph_whose_names_are_not_the_manifests(tiny_bundle: Bundle, rewrite: Rewrite) -> None:
    def edit(model: onnx.ModelProto) -> None:
        old = model.graph.output[0].name
        model.graph.output[0].name = "answer"
        for node in model.graph.node:
            for index, name in enumerate(node.output):
                if name == old:
                    node.output[index] = "answer"
            for index, name in enumerate(node.input):
                if name == old:
                    node.input[index] = "answer"

    with pytest.raises(BundleError, match=r"outputs of step.onnx differ from the manifest in answer, score"):
        open_runtime(rewrite(step_onnx=changed(tiny_bundle, edit)), "onnx")


def test_a_graph_that_fails_while_it_runs(tiny_bundle: Bundle, rewrite: Rewrite, crops: Arrays) -> None:
    """ONNX Runtime's own exceptions come out as ours."""

    def edit(model: onnx.ModelProto) -> None:
        for node in model.graph.node:
            node.input[:] = ["shifted" if name == "carry" else name for name in node.input]
        model.graph.initializer.append(onnx.numpy_helper.from_array(np.array(99), "far"))
        outside = onnx.helper.make_node("Gather", ["carry", "far"], ["outside"])
        model.graph.node.insert(0, onnx.helper.make_node("Add", ["carry", "outside"], ["shifted"]))
        model.graph.node.insert(0, outside)

    runtime = open_runtime(rewrite(step_onnx=changed(tiny_bundle, edit)), "onnx", threads=1)
    _, state = runtime.call("init", {"template": crops["template"]}, None)
    with pytest.raises(StepError, match="ONNX Runtime failed in step"):
        runtime.call("step", {name: crops[name] for name in ("search", "carry")}, state)


@pytest.mark.parametrize(("cores", "threads"), [(1, 1), (2, 1), (4, 2), (6, 3), (64, 4)])
def test_threads_by_default(monkeypatch: pytest.MonkeyPatch, cores: int, threads: int) -> None:
    """Half the cores: the others decode the video."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(cores)), raising=False)
    assert default_threads() == threads


def test_what_doctor_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    reports = inspect_runtimes()
    assert set(reports) == {entry.name for entry in runtime_table()}
    assert reports["onnx"].usable
    assert reports["onnx"].devices == ("cpu",)
    assert reports["onnx"].version
    monkeypatch.setattr(choice, "runtime_table", lambda: (missing("eager"),))
    absent = inspect_runtimes()["eager"]
    assert not absent.usable
    assert "a_package_that_is_nowhere" in absent.why_not
    assert absent.remedy == "pip install framestate[torch]"
