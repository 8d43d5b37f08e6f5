"""Which form an operator gets, and that every set of operators is complete."""

from __future__ import annotations

import dataclasses
import sys
from types import ModuleType

import pytest
import torch
from framestate.plugins import (
    Operators,
    eager_operators,
    kernels,
    onnx_operators,
    onnxruntime_operators,
    reference_operators,
)
from framestate.plugins.forms import FORMS
from framestate.plugins.selective_scan import selective_scan_portable

NAMES = {row.operator for row in FORMS}
OPTIONAL = ["mamba_ssm", "causal_conv1d", "triton"]


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch says that it has a GPU; none of the optional packages can be imported."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for name in list(sys.modules):
        if name.split(".")[0] in OPTIONAL or name.endswith("triton_kernel"):
            monkeypatch.delitem(sys.modules, name)
    for name in OPTIONAL:
        monkeypatch.setitem(sys.modules, name, None)


def provide(monkeypatch: pytest.MonkeyPatch, path: str, function: str) -> None:
    """A stand-in module with one function in it."""
    parts = path.split(".")
    for depth in range(1, len(parts) + 1):
        module = ModuleType(".".join(parts[:depth]))
        module.__path__ = []
        monkeypatch.setitem(sys.modules, module.__name__, module)
    setattr(sys.modules[path], function, lambda *arguments, **options: None)


@pytest.mark.parametrize(
    "operators",
    [reference_operators(), eager_operators(), *(onnx_operators(d) for d in ("ort", "portable", "plugin"))],
    ids=lambda operators: operators.name,
)
def test_every_set_has_every_operator(operators: Operators) -> None:
    assert {field.name for field in dataclasses.fields(operators)} == NAMES | {"name", "chosen"}
    assert all(callable(getattr(operators, name)) for name in NAMES)


def test_on_a_cpu_there_is_nothing_to_choose() -> None:
    assert eager_operators() == eager_operators("cpu")
    assert eager_operators().name == "chunked"
    assert eager_operators().chosen == ()


def test_the_old_name_is_the_ort_dialect() -> None:
    assert onnxruntime_operators() == onnx_operators("ort")


def test_without_a_gpu_no_kernel_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    operators = eager_operators("cuda:0")
    assert operators.name == "blocks+chunked"
    assert operators.selective_scan is selective_scan_portable
    assert {choice.operator for choice in operators.chosen} == NAMES
    for choice in operators.chosen:
        assert all(why.endswith("PyTorch finds no CUDA device") for why in choice.passed_over)
    assert all(kernel.why_not == "PyTorch finds no CUDA device" for kernel in kernels())


@pytest.mark.usefixtures("gpu")
def test_on_a_gpu_without_kernels_the_reasons_are_told() -> None:
    operators = eager_operators("cuda")
    assert operators.name == "blocks+chunked"
    scan = next(choice for choice in operators.chosen if choice.operator == "selective_scan")
    assert [why.split(":")[0] for why in scan.passed_over] == ["triton", "mamba-ssm"]
    assert "mamba_ssm" in scan.passed_over[1]


@pytest.mark.usefixtures("gpu")
def test_on_a_gpu_others_kernels_are_taken_where_ours_do_not_work(monkeypatch: pytest.MonkeyPatch) -> None:
    provide(monkeypatch, "mamba_ssm.ops.selective_scan_interface", "selective_scan_fn")
    provide(monkeypatch, "causal_conv1d", "causal_conv1d_fn")
    operators = eager_operators("cuda:1")
    chosen = {choice.operator: choice.form for choice in operators.chosen}
    assert chosen == {
        "selective_scan": "mamba-ssm",
        "causal_conv1d": "causal-conv1d",
        "ssd_scan": "chunked",
        "mlstm_scan": "chunked",
        "diagonal_scan": "blocks",
        "gated_scan": "chunked",
    }
    assert operators.name == "blocks+causal-conv1d+chunked+mamba-ssm"


def test_on_a_gpu_our_kernels_come_first_and_others_on_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """Theirs are TF32 and read no rows in place."""
    pytest.importorskip("triton")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    operators = eager_operators("cuda")
    assert operators.name == "triton"
    with monkeypatch.context() as there:
        provide(there, "mamba_ssm.ops.selective_scan_interface", "selective_scan_fn")
        assert eager_operators("cuda").name == "triton"
        asked = {one.operator: one.form for one in eager_operators("cuda", upstream=True).chosen}
        assert asked == dict.fromkeys(NAMES, "triton") | {"selective_scan": "mamba-ssm"}
    assert operators.mlstm_scan.__name__ == "mlstm_scan_triton"
    assert {kernel.name for kernel in kernels() if kernel.call is not None} == {"triton"}


@pytest.mark.usefixtures("gpu")
def test_a_broken_build_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """An extension built for another PyTorch fails with more than ImportError."""

    class Broken(ModuleType):
        def __getattr__(self, name: str) -> None:
            raise OSError("undefined symbol: _ZN3c10\nmore lines")

    monkeypatch.setitem(sys.modules, "causal_conv1d", Broken("causal_conv1d"))
    found = next(kernel for kernel in kernels() if kernel.name == "causal-conv1d")
    assert found.call is None
    assert found.why_not == "undefined symbol: _ZN3c10"
