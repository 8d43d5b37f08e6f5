"""TF32 is off wherever the eager runtime computes or records for CUDA."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from framestate.bundles import Bundle
from framestate.runtimes import Arrays
from framestate.runtimes.eager import EagerRuntime
from framestate.runtimes.torch_precision import Precision

from .host_graphs import HostRecorder
from .test_contract import started, step


def switches() -> tuple[object, ...]:
    """All ways to ask PyTorch whether float32 is TF32; old ones raise where new ones differ."""
    backends: Any = torch.backends
    convolutions = (backends.cudnn.conv.fp32_precision, backends.cudnn.rnn.fp32_precision)
    return (
        backends.cudnn.allow_tf32,
        *convolutions,
        backends.cuda.matmul.allow_tf32,
        torch.get_float32_matmul_precision(),
    )


OFF = (False, "ieee", "ieee", False, "highest")


@pytest.fixture(params=["default", "old switches", "new switches", "high"])
def switched_on(request: pytest.FixtureRequest) -> Iterator[None]:
    """TF32 on, in the ways that people switch it on; afterwards as it was."""
    backends: Any = torch.backends
    if request.param == "old switches":
        backends.cudnn.allow_tf32 = backends.cuda.matmul.allow_tf32 = True
    elif request.param == "new switches":
        backends.cudnn.conv.fp32_precision = backends.cuda.matmul.fp32_precision = "tf32"
    elif request.param == "high":
        torch.set_float32_matmul_precision("high")
    yield
    backends.cudnn.allow_tf32 = True
    torch.set_float32_matmul_precision("highest")


def test_it_is_off_whatever_it_was(switched_on: None) -> None:
    for _ in range(2):
        with Precision("fp32", "cuda").context():
            assert switches() == OFF


@pytest.mark.parametrize("graphs", [True, False])
def test_every_function_computes_and_is_recorded_without_it(
    tiny_bundle: Bundle, crops: Arrays, switched_on: None, graphs: bool
) -> None:
    """On a CPU, with the precision of a GPU: its switches are PyTorch's own."""
    runtime = EagerRuntime(tiny_bundle, resident=True, graphs=HostRecorder() if graphs else False)
    runtime._precision = Precision("fp32", "cuda")
    seen: list[tuple[str, object]] = []

    def noted(name: str, function: Any) -> Any:
        def call(*given: Any) -> Any:
            seen.append((name, switches()))
            return function(*given)

        return call

    runtime._functions = {name: noted(name, function) for name, function in runtime._functions.items()}
    store = started(runtime, crops)
    for rows in ([0, 1, 2], [2, 0, 1]):
        step(runtime, crops, store.read(rows))
    assert {name for name, _ in seen} == {"init", "step"}
    assert all(found == OFF for _, found in seen)


def test_a_cpu_is_left_alone() -> None:
    before = torch.backends.cudnn.allow_tf32
    with Precision("fp32", "cpu").context():
        assert torch.backends.cudnn.allow_tf32 == before
