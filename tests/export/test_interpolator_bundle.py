"""An interpolator as a bundle: graphs for frames of any size, their proof, one contract for all runtimes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
import torch
from framestate.bundles import Bundle, ModelSpec, load_bundle
from framestate.engine.interpolation.padding import as_input, padded_size
from framestate.engine.interpolation.task import PSNR_CEILING
from framestate.errors import DataError, OptionError, ParityError, StateError, StepError
from framestate.export.bundle import GraphOptions, bundle_model
from framestate.export.proof import Proof, prove
from framestate.export.trials import TRIALS
from framestate.models.interpolation import HybridInterpolator, InterpolatorConfig
from framestate.plugins import eager_operators
from framestate.plugins.operators import Dialect
from framestate.runtimes import Arrays, Runtime, RuntimeOver, State, open_runtime
from framestate.runtimes.onnx import OnnxRuntime
from framestate.runtimes.tensorrt import TensorRTRuntime
from framestate.runtimes.tensorrt_plan import FrameRange
from torch import nn

from ..runtimes.host_gpu import plan_bundle, stand_in

SMALL: dict[str, Any] = {
    "channels": (4, 4, 8, 8),
    "head_channels": 4,
    "states": 4,
    "window": 4,
    "correlation_channels": 4,
    "correlation_radius": 2,
    "flow_width": (8, 8, 8),
    "flow_depth": (1, 1, 1),
    "hidden": 3,
    "carry": ("flow", "ssm"),
}
HALF = np.full((1, 1), 0.5, np.float32)
RUNTIMES = ("eager", "onnx", "onnx, bound", "tensorrt, host")


def small_model() -> HybridInterpolator:
    """In every part of which something is to be seen."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        model = HybridInterpolator(InterpolatorConfig(**SMALL), eager_operators())
        for parameter in model.parameters():
            if not parameter.any():
                nn.init.normal_(parameter, std=0.1)
    return model.eval()


def bundled(folder: Path, dialect: Dialect = "ort") -> Bundle:
    model = small_model()
    bundle, parity = bundle_model(
        model, model.spec("small"), folder, provenance={}, frames=3, options=GraphOptions(dialect=dialect)
    )
    assert parity.passed
    assert parity.values["psnr_db"] >= 80
    assert bundle.parity["onnx"]["psnr_db"] == parity.values["psnr_db"]  # type: ignore[index, call-overload]
    return bundle


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return bundled(tmp_path_factory.mktemp("small") / "ort")


@pytest.fixture(params=RUNTIMES)
def runtime(
    request: pytest.FixtureRequest, bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Runtime]:
    name, _, bound = request.param.partition(", ")
    if name == "tensorrt":
        stand_in(monkeypatch)
        frames = FrameRange((32, 32), (64, 96), (160, 288))
        opened: Runtime = TensorRTRuntime(plan_bundle(bundle, tmp_path / "plans", (frames,)))
    else:
        opened = OnnxRuntime(bundle, bound=True) if bound else open_runtime(bundle, name, threads=1)
    yield opened
    opened.close()


def images(count: int, height: int, width: int, batch: int = 1) -> list[npt.NDArray[np.float32]]:
    rng = np.random.default_rng(height + width)
    coarse = rng.random((count, batch, 3, height // 16, width // 16), np.float32)
    return list(np.kron(coarse, np.ones((16, 16), np.float32)))


def through(runtime: Runtime, frames: list[npt.NDArray[np.float32]]) -> list[npt.NDArray[Any]]:
    """What a runtime makes of the frames, a middle a pair."""
    state = dict(runtime.allocate(1, frames[0].shape[2:]).read([0]))
    inputs = {one.name: one for one in runtime.spec.function("motion").inputs}
    still = {name: np.zeros(one.concrete(1, frames[0].shape[2:]), np.float32) for name, one in inputs.items()}
    made = []
    for index, image in enumerate(frames):
        state.update({f"first{k[6:]}": v for k, v in state.items() if k.startswith("second.")})
        state.update(runtime.call("encode", {"image": image}, None)[1] or {})
        if index:
            state.update(runtime.call("motion", still, state)[1] or {})
            made.append(runtime.call("interpolate", {"t": HALF}, state)[0]["image"])
    return made


@pytest.mark.parametrize("size", [(32, 64), (96, 64), (160, 288)])
def test_every_runtime_takes_frames_of_any_size(
    runtime: Runtime, bundle: Bundle, size: tuple[int, int]
) -> None:
    frames = images(3, *size)
    made = through(runtime, frames)
    assert [image.shape for image in made] == [(1, 3, *size)] * 2
    reference = open_runtime(bundle, "eager", threads=1)
    for found, expected in zip(made, through(reference, frames), strict=True):
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4)


def encoded(runtime: Runtime, batch: int = 2) -> dict[str, Any]:
    """Two frames taken in, the state as a call gave it."""
    first, second = images(2, 64, 96, batch)
    size = (64, 96)
    state = dict(runtime.allocate(batch, size).read(list(range(batch))))
    for image in (first, second):
        state.update({k.replace("second.", "first."): v for k, v in state.items() if k.startswith("second.")})
        _, written = runtime.call("encode", {"image": image}, None)
        state.update(written or {})
    return state


def test_state_goes_on_under_another_name(runtime: Runtime) -> None:
    """What ``encode`` gave is taken as it is, under the name of the first frame; nothing is changed."""
    state = encoded(runtime)
    before = {name: np.asarray(value).copy() for name, value in state.items()}
    _, motion = runtime.call("motion", {}, state)
    assert set(motion or {}) == set(runtime.spec.function("motion").writes_state)
    outputs, _ = runtime.call(
        "interpolate", {"t": np.full((2, 1), 0.5, np.float32)}, {**state, **(motion or {})}
    )
    assert outputs["image"].shape == (2, 3, 64, 96)
    assert all(np.array_equal(np.asarray(state[name]), before[name]) for name in before)


def test_several_times_of_a_pair(runtime: Runtime) -> None:
    """One motion serves all times, and the time matters."""
    state = encoded(runtime, 1)
    _, motion = runtime.call("motion", {}, state)
    state.update(motion or {})
    made = [
        runtime.call("interpolate", {"t": np.full((1, 1), t, np.float32)}, state)[0]["image"]
        for t in (0.2, 0.5, 0.8, 0.2)
    ]
    assert np.array_equal(made[0], made[3])
    assert np.abs(made[0] - made[1]).max() > 1e-3


def test_what_does_not_fit(runtime: Runtime) -> None:
    state = encoded(runtime)
    image = images(1, 64, 96)[0]
    with pytest.raises(DataError, match="multiple of"):
        runtime.call("encode", {"image": np.ascontiguousarray(image[:, :, :50])}, None)
    with pytest.raises(StateError, match=r"motion reads state 'first\.f8'"):
        runtime.call("motion", {}, None)
    other = dict(runtime.allocate(2, (32, 96)).read([0, 1]))
    with pytest.raises(StateError, match=r"second\.f8"):
        runtime.call("motion", {}, {**state, "second.f8": other["second.f8"]})
    with pytest.raises(DataError, match="input 't'"):
        runtime.call("interpolate", {"t": np.zeros(2, np.float32)}, state)
    with pytest.raises(StateError):
        runtime.call("interpolate", {"t": np.zeros((1, 1), np.float32)}, state)
    image[0, 0, 3, 3] = np.nan
    with pytest.raises(StepError, match="not finite"):
        runtime.call("encode", {"image": image}, None)


def operators_of(bundle: Bundle, function: str) -> set[tuple[str, str]]:
    graph = onnx.load(bundle.path / f"{function}.onnx", load_external_data=False).graph
    return {(node.domain, node.op_type) for node in graph.node}


@pytest.mark.slow
def test_a_portable_graph_is_plain_onnx(tmp_path: Path, bundle: Bundle) -> None:
    assert ("com.microsoft", "LinearAttention") in operators_of(bundle, "motion")
    assert ("", "DeformConv") in operators_of(bundle, "interpolate")
    portable = bundled(tmp_path / "portable", "portable")
    for function in portable.spec.functions:
        kinds = operators_of(portable, function)
        assert {domain for domain, _ in kinds} == {""}
        assert ("", "DeformConv") not in kinds
    frames = images(3, 96, 160)
    ones, others = (through(open_runtime(b, "onnx", threads=1), frames) for b in (bundle, portable))
    for one, other in zip(ones, others, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-4)


def test_smaller_numbers_are_refused(tmp_path: Path) -> None:
    model = small_model()
    with pytest.raises(OptionError, match="not exported in fp16"):
        bundle_model(
            model, model.spec("small"), tmp_path / "x", provenance={}, options=GraphOptions(precision="fp16")
        )
    assert not (tmp_path / "x").exists()


class Bent(RuntimeOver):
    """A runtime whose frames are off by a little."""

    def __init__(self, runtime: Runtime, by: float) -> None:
        super().__init__(runtime)
        self._by = by

    def call(self, function: str, inputs: Arrays, state: State | None) -> tuple[Arrays, State | None]:
        outputs, written = super().call(function, inputs, state)
        return {name: value + np.float32(self._by) for name, value in outputs.items()}, written


def test_a_difference_is_found(bundle: Bundle) -> None:
    reference = open_runtime(bundle, "eager", threads=1)
    same = prove(reference, reference, frames=2)
    assert same.values["psnr_db"] == PSNR_CEILING
    assert same.max_rel < 1e-5  # memory is laid out in another order, so the last bits may differ
    off = prove(reference, Bent(reference, 0.01), frames=2)
    assert not off.passed
    assert off.values["psnr_db"] == pytest.approx(40, abs=0.2)  # as levels, of which 0.01 is 2.55
    assert off.max_abs == pytest.approx(0.01, rel=1e-3)


@pytest.mark.parametrize(
    ("relative", "psnr_db", "passed"), [(1e-3, 60, True), (1.1e-3, 60, False), (0, 59.9, False)]
)
def test_both_bounds_count(relative: float, psnr_db: float, passed: bool) -> None:
    trial = TRIALS["interpolation"]
    proof = Proof(1, 0.0, relative, {"psnr_db": psnr_db}, trial.tolerance, trial.measures)
    assert proof.passed is passed


def test_a_graph_that_differs_is_not_written(
    tmp_path: Path, bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Graphs of these weights, and a model of others."""

    def ready(spec: ModelSpec, weights: Mapping[str, Any], folder: Path, *_: Any) -> dict[str, Path]:
        files = {f"{function}.onnx": folder / f"{function}.onnx" for function in spec.functions}
        for name, path in files.items():
            onnx.save(onnx.load(bundle.file(name)), path)
        return files

    monkeypatch.setattr("framestate.export.bundle.write_graphs", ready)
    model = small_model()
    with torch.no_grad():
        model.head4.weight += 0.05
    with pytest.raises(ParityError, match=r"onnx differs from eager by .* dB"):
        bundle_model(model, model.spec("small"), tmp_path / "x", provenance={}, frames=2)
    assert not (tmp_path / "x").exists()


def test_frames_are_padded_to_a_multiple(bundle: Bundle) -> None:
    image = np.random.default_rng(0).integers(0, 256, (33, 70, 3), np.uint8)
    multiple: Any = bundle.spec.preprocess["multiple"]
    grown = as_input(image, *padded_size(33, 70, multiple))
    assert grown.shape == (1, 3, 64, 96)
    np.testing.assert_allclose(grown[0, :, :33, :70] * 255, image.transpose(2, 0, 1), rtol=1e-6)
    assert np.array_equal(grown[0, :, 63, 95], grown[0, :, 32, 69])


def test_the_interpolator_that_comes_along() -> None:
    found = load_bundle("interp-nano")
    assert found.spec.task == "interpolation"
    assert sum(file.bytes for file in found.files.values()) < 15e6
    assert found.provenance["trained_on"]
    frames = images(3, 64, 96)
    runtimes = [open_runtime(found, name, threads=1) for name in ("eager", "onnx")]
    ones, others = (through(runtime, frames) for runtime in runtimes)
    for one, other in zip(ones, others, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-3)
        assert 0 <= one.min() <= one.max() <= 1
