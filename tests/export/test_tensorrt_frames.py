"""Plans of an interpolator, as far as a CPU goes: sizes of frames, profiles, graphs of the dialect plugin."""

from __future__ import annotations

import importlib
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from framestate.bundles import ModelSpec, past_name, present_name
from framestate.engine import Result
from framestate.engine.interpolation.model import InterpolationModel
from framestate.engine.interpolation.options import InterpolationOptions
from framestate.engine.interpolation.sized_model import SizedModel
from framestate.errors import ExportError, OptionError
from framestate.export.graphs import export_function
from framestate.export.tensorrt import PlanOptions, check_options
from framestate.export.tensorrt_build import profiles_of
from framestate.export.tensorrt_graph import plain_samplers, prepare_graph
from framestate.export.tensorrt_sizes import DEFAULT, engine_sizes, frame_ranges
from framestate.models.interpolation import HybridInterpolator, InterpolatorConfig
from framestate.plugins import eager_operators, onnx_operators
from framestate.plugins.tensorrt_registry import plugin_modules
from framestate.runtimes.tensorrt_plan import FrameRange, PlanKey
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun
from torch import Tensor, nn

from .test_interpolator_bundle import SMALL

PARSED = {
    "Abs", "Add", "ArgMax", "AveragePool",
    "Cast", "Clip", "Concat", "Constant", "ConstantOfShape", "Conv", "Div", "Exp", "Expand",
    "Gather", "GatherElements", "Gelu", "Greater", "GridSample", "Identity", "LeakyRelu", "MatMul",
    "Max", "Min", "Mul", "Neg", "Pad", "Pow", "Range", "Reciprocal", "ReduceL2", "ReduceMean", "ReduceSum",
    "Reshape", "Resize", "Round", "Shape", "Sigmoid", "Slice", "Softmax", "Softplus", "Split", "Sqrt",
    "Squeeze", "Sub", "Sum", "Tanh", "Tile", "Transpose", "Unsqueeze", "Where",
}  # fmt: skip
"""What the exported graphs may use: operators that TensorRT's parser (read: 10.1) takes in float32."""


@pytest.fixture(scope="module")
def models() -> dict[str, HybridInterpolator]:
    """The small interpolator for PyTorch, and the same weights for graphs of the dialect plugin."""
    config = InterpolatorConfig(**SMALL)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        eager = HybridInterpolator(config, eager_operators())
        for parameter in eager.parameters():
            if not parameter.any():
                nn.init.normal_(parameter, std=0.1)
    plugin = HybridInterpolator(config, onnx_operators("plugin"))
    plugin.load_state_dict(eager.state_dict())
    return {"eager": eager.eval(), "plugin": plugin.eval()}


@pytest.fixture(scope="module")
def spec(models: dict[str, HybridInterpolator]) -> ModelSpec:
    return models["eager"].spec("small")


def framestate_node(name: str) -> type[OpRun]:
    """A node of ours, computed by the operator's reference."""
    (rules,) = [plugin.RULES for plugin in plugin_modules() if plugin.RULES.name == name]
    module = importlib.import_module(f"framestate.plugins.{rules.operator}.reference")
    reference = getattr(module, f"{rules.operator}_reference")

    def run(self: Any, *values: Any, **_: Any) -> tuple[Any, ...]:
        named = {key: bool(getattr(self, key)[0]) for key in rules.attributes}
        y, state = reference(*(torch.from_numpy(np.array(one)) for one in values), **named)
        return y.numpy(), state.numpy()

    return type(name, (OpRun,), {"op_domain": "framestate", "_run": run})


@pytest.mark.parametrize("name", ["motion", "interpolate"])
def test_graphs_are_what_the_parser_takes(
    models: dict[str, HybridInterpolator], spec: ModelSpec, tmp_path: Path, name: str
) -> None:
    """Names, operators, samplers; and run with the operators' references they are the model itself."""
    path, function = tmp_path / f"{name}.onnx", spec.function(name)
    export_function(models["plugin"], spec, name, path)
    counts = prepare_graph(path, spec, function)
    model = onnx.load(path)
    kinds = Counter((node.domain, node.op_type) for node in model.graph.node)
    assert {kind for domain, kind in kinds if not domain} <= PARSED
    assert counts == {kind: count for (domain, kind), count in kinds.items() if domain == "framestate"}
    samplers = [node for node in model.graph.node if node.op_type == "GridSample"]
    assert samplers
    assert not any(attribute.name == "mode" for node in samplers for attribute in node.attribute)
    states = {tensor.name: tensor for tensor in spec.state}
    shapes = {past_name(key): states[key].shape for key in function.reads_state}
    shapes |= {present_name(key): states[key].shape for key in function.writes_state}
    for value in (*model.graph.input, *model.graph.output):
        dims = value.type.tensor_type.shape.dim
        if value.name in shapes:
            assert tuple(dim.dim_param or dim.dim_value for dim in dims) == shapes[value.name]
    rng = np.random.default_rng(3)
    feeds = {tensor.name: rng.random(tensor.concrete(2, (64, 96)), np.float32) for tensor in function.inputs}
    feeds |= {past_name(key): rng.random(states[key].concrete(2, (64, 96)), np.float32)
              for key in function.reads_state}  # fmt: skip
    given = {key: torch.from_numpy(value) for key, value in feeds.items()}
    with torch.inference_mode():
        outputs, written = models["eager"].functions()[name](
            given, {key: given[past_name(key)] for key in function.reads_state}
        )
    expected: dict[str, Tensor] = {**outputs, **{present_name(key): value for key, value in written.items()}}
    names = [value.name for value in model.graph.output][: len(expected)]
    if counts:
        evaluator = ReferenceEvaluator(model, new_ops=[framestate_node(kind) for kind in counts])
        found = evaluator.run(names, feeds)
    else:
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        found = session.run(names, feeds)
    for key, array in zip(names, found, strict=True):
        np.testing.assert_allclose(array, expected[key].numpy(), rtol=0, atol=2e-4, err_msg=key)


def test_a_sampler_of_another_mode_is_refused() -> None:
    node = onnx.helper.make_node("GridSample", ["x", "grid"], ["y"], mode="nearest")
    graph = onnx.helper.make_graph([node], "g", [], [])
    with pytest.raises(ExportError, match="samples by b'nearest'"):
        plain_samplers(graph)


def test_there_is_a_profile_a_range(spec: ModelSpec) -> None:
    """Every input and state of every function, from least to most, in the order of the key."""
    ranges = (FrameRange.only((64, 96)), FrameRange((32, 32), (64, 64), (96, 160)))
    key = PlanKey("b", "p", "fp32", 1, 1, 2, "11.4.0", "Orin", ranges)
    for name in spec.functions:
        function = spec.function(name)
        profiles = profiles_of(spec, function, key)
        assert len(profiles) == 2
        for profile, one in zip(profiles, ranges, strict=True):
            assert len(profile) == len(function.inputs) + len(function.reads_state)
            for shapes in profile.values():
                assert [shape[0] for shape in shapes] == [1, 1, 2]
                assert all(a <= b <= c for a, b, c in zip(*shapes, strict=True))
            sized = [tensor for tensor in function.inputs if not tensor.is_sized]
            for tensor in sized:
                assert profile[tensor.name][2] == tensor.concrete(2, one.most)


def shown(steps: Any) -> set[tuple[int, ...]]:
    """Sizes of the images that a flight asks calls for; each call gives nothing."""
    seen: set[tuple[int, ...]] = set()
    try:
        (asked,) = next(steps)
        while True:
            seen.add(asked.inputs["image"].shape[2:])
            (asked,) = steps.send([Result({}, {})])
    except StopIteration:
        return seen


@pytest.mark.parametrize("size", [(720, 1280), (1080, 1920), (2160, 3840), (66, 75), (1280, 720)])
def test_the_sizes_are_those_that_the_engine_uses(spec: ModelSpec, size: tuple[int, int]) -> None:
    runtime: Any = SimpleNamespace(spec=spec)
    engine = SizedModel(InterpolationModel(runtime), *size, InterpolationOptions())
    seen = shown(engine.encode(np.zeros((*size, 3), np.uint8)))
    assert set(engine_sizes(spec, *size)) == seen
    ranges = frame_ranges(spec, [f"{size[1]}x{size[0]}"])
    assert {one.usual for one in ranges} == seen
    assert all(one.least == one.usual == one.most for one in ranges)


def test_ranges_are_padded_and_named_once(spec: ModelSpec) -> None:
    (one,) = frame_ranges(spec, ["100x70:640x360:1920x1080"])
    assert (one.least, one.usual, one.most) == ((96, 128), (384, 640), (1088, 1920))
    assert str(one) == "128x96 to 1920x1088"
    assert len(frame_ranges(spec, ["640x360", "640x384", "640x360"])) == 1
    (default,) = frame_ranges(spec, [])
    assert default == frame_ranges(spec, DEFAULT)[0]
    assert default.holds((736, 1280))
    assert default.holds((1088, 1920))
    assert not default.holds((1920, 1088))


WRONG = ("", "720p", "1280", "1280x", "12x720", "1280x720:1920x1080", "640x360:320x180:64x64", "999999x720",
         "64x64:64x64:99999x64")  # fmt: skip


@pytest.mark.parametrize("text", WRONG)
def test_sizes_that_are_none(spec: ModelSpec, text: str) -> None:
    with pytest.raises(OptionError):
        frame_ranges(spec, [text])


def test_a_tracker_takes_no_sizes(tiny_bundle: Any) -> None:
    assert frame_ranges(tiny_bundle.spec, []) == ()
    with pytest.raises(OptionError, match="do not depend on the size of the frames"):
        frame_ranges(tiny_bundle.spec, ["640x360"])


def test_what_no_plans_are_built_for(spec: ModelSpec) -> None:
    bundle: Any = SimpleNamespace(spec=spec)
    check_options(bundle, PlanOptions())
    with pytest.raises(OptionError, match="not built in fp16"):
        check_options(bundle, PlanOptions("fp16"))
    bundle.spec = SimpleNamespace(name="seen", task="classification")
    with pytest.raises(OptionError, match="is for classification, which nothing proves plans for"):
        check_options(bundle, PlanOptions())
