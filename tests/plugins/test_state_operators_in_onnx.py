"""The operators that carry state, exported to ONNX and run by ONNX Runtime, against their references."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from framestate.plugins.causal_conv1d import causal_conv1d_reference, causal_conv1d_with_state
from framestate.plugins.ssd_scan import ssd_scan_linear_attention, ssd_scan_reference
from torch import Tensor, nn

CLOSE = 1e-5  # float32, relative to the largest magnitude


class ScanModule(nn.Module):
    def forward(self, x: Tensor, dt: Tensor, a: Tensor, b: Tensor, c: Tensor, state: Tensor) -> Any:
        return ssd_scan_linear_attention(x, dt, a, b, c, state)


class StartModule(nn.Module):
    def forward(self, x: Tensor, dt: Tensor, a: Tensor, b: Tensor, c: Tensor) -> Any:
        return ssd_scan_linear_attention(x, dt, a, b, c)


class ConvModule(nn.Module):
    def __init__(self, silu: bool) -> None:
        super().__init__()
        self.silu = silu

    def forward(self, x: Tensor, weight: Tensor, bias: Tensor, state: Tensor) -> Any:
        return causal_conv1d_with_state(x, weight, bias, state, silu=self.silu)


def exported(module: nn.Module, given: dict[str, Tensor]) -> onnxruntime.InferenceSession:
    """A session of the module's graph with a free batch and a free length where a tensor is named so."""
    batch, time = torch.export.Dim("batch", max=64), torch.export.Dim("time", max=4096)
    shapes = {
        name: {0: batch, 1: time}
        if name in ("x", "dt", "b", "c")
        else {0: batch}
        if name == "state"
        else None
        for name in given
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            module.eval(),
            kwargs=given,
            dynamo=True,
            opset_version=20,
            dynamic_shapes=shapes,
            input_names=list(given),
            output_names=["y", "final"],
            verbose=False,
        )
    assert program is not None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(
        program.model_proto.SerializeToString(), options, ["CPUExecutionProvider"]
    )


def run(session: onnxruntime.InferenceSession, given: dict[str, Tensor]) -> list[np.ndarray]:
    return [np.asarray(out) for out in session.run(["y", "final"], {k: v.numpy() for k, v in given.items()})]


def worst(found: list[np.ndarray], expected: tuple[Tensor, Tensor]) -> float:
    for f, e in zip(found, expected, strict=True):
        assert f.shape == tuple(e.shape)
    return max(
        float(np.abs(f - e.numpy()).max() / max(float(e.abs().max()), 1e-6))
        for f, e in zip(found, expected, strict=True)
    )


def scan_case(time: int, batch: int = 2, heads: int = 4, groups: int = 2, seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        "x": torch.randn(batch, time, heads, 8, generator=generator),
        "dt": torch.rand(batch, time, heads, generator=generator) * 0.3,
        "a": -torch.exp(torch.randn(heads, generator=generator)),
        "b": torch.randn(batch, time, groups, 16, generator=generator),
        "c": torch.randn(batch, time, groups, 16, generator=generator),
        "state": torch.randn(batch, heads, 16, 8, generator=generator),
    }


def doubled(given: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.double() for name, tensor in given.items()}


@pytest.fixture(scope="module")
def scan() -> onnxruntime.InferenceSession:
    return exported(ScanModule(), scan_case(12))


@pytest.mark.parametrize(("time", "batch"), [(12, 2), (1, 1), (1, 3), (300, 1)])
def test_the_scan_agrees(scan: onnxruntime.InferenceSession, time: int, batch: int) -> None:
    given = scan_case(time, batch)
    assert worst(run(scan, given), ssd_scan_reference(**doubled(given))) <= CLOSE


def test_the_scan_without_a_state_starts_from_zeros() -> None:
    given = scan_case(9)
    del given["state"]
    session = exported(StartModule(), given)
    assert worst(run(session, given), ssd_scan_reference(**doubled(given))) <= CLOSE


def test_a_session_that_carries_the_scans_state(scan: onnxruntime.InferenceSession) -> None:
    """Two hundred calls of a few steps each, every one from the state that the last one gave."""
    state = torch.randn(1, 4, 16, 8, generator=torch.Generator().manual_seed(1))
    exact = state.double()
    for call in range(200):
        given = scan_case(1 + call % 3, batch=1, seed=call)
        y, final = run(scan, {**given, "state": state})
        expected, exact = ssd_scan_reference(**{**doubled(given), "state": exact})
        assert worst([y, final], (expected, exact)) <= CLOSE
        state = torch.from_numpy(final)


@pytest.mark.parametrize("silu", [True, False])
def test_the_convolution_agrees_and_carries_its_state(silu: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    given = {
        "x": torch.randn(2, 6, 5, generator=generator),
        "weight": torch.randn(5, 4, generator=generator),
        "bias": torch.randn(5, generator=generator),
        "state": torch.randn(2, 5, 3, generator=generator),
    }
    session = exported(ConvModule(silu), given)
    state, exact = given["state"], given["state"].double()
    for time in (6, 1, 2, 1, 40):
        part = {**given, "x": torch.randn(2, time, 5, generator=generator), "state": state}
        y, final = run(session, part)
        expected, exact = causal_conv1d_reference(**{**doubled(part), "state": exact}, silu=silu)
        assert worst([y, final], (expected, exact)) <= CLOSE
        state = torch.from_numpy(final.copy())
