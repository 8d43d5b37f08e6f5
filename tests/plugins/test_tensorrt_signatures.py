"""Our calls of TensorRT beside the signatures of NVIDIA's bindings: those that are compiled into them.

``build_plan`` runs as it stands over doubles that take what the bindings would take, plugins are made of the
bindings' own classes, and what the runtime calls is compared by names and types.
"""

from __future__ import annotations

import inspect
import os
import typing
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("triton")
if os.environ.get("TRITON_INTERPRET") == "1":
    pytest.skip("the interpreter compiles nothing", allow_module_level=True)

from framestate.bundles import FunctionSpec, ModelSpec, TensorSpec
from framestate.errors import ExportError
from framestate.export.tensorrt_build import build_plan, timing_name
from framestate.plugins.tensorrt_registry import OPERATORS, plugin_modules
from framestate.plugins.tensorrt_rules import OPEN, PluginRules
from framestate.plugins.tensorrt_v3 import plugin_class, register_v3
from framestate.runtimes import tensorrt_surface
from framestate.runtimes.tensorrt import open_reader
from framestate.runtimes.tensorrt_plan import FrameRange, PlanKey

from .nvidia_signatures import Doubles, load_compiled_half, signatures

SPEC = ModelSpec(
    name="seen",
    task="interpolation",
    architecture="none",
    config={},
    preprocess={"multiple": 4},
    functions={
        "encode": FunctionSpec(
            (TensorSpec("image", "float32", ("batch", 3, "height", "width")),), (), (), ("second.f4",)
        )
    },
    state=(TensorSpec("second.f4", "float32", ("batch", 8, "height/4", "width/4")),),
)
RANGES = (FrameRange.only((8, 16)), FrameRange((4, 4), (8, 16), (16, 16)))
KEY = PlanKey("b", "p", "fp32", 1, 2, 4, "11.4.0", "Host", RANGES)


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    """NVIDIA's extension module."""
    found = load_compiled_half(tmp_path_factory.mktemp("empty"))
    if isinstance(found, str):
        pytest.skip(found)
    return found


def test_a_build_calls_only_what_there_is(compiled: ModuleType, tmp_path: Path) -> None:
    """Every class, method, property and enum of a build, with types; and its timing cache is kept."""
    told: list[str] = []
    doubles = Doubles(
        compiled, {"EngineInspector.get_engine_information": '{"Layers": [{"LayerType": "conv"}]}'}
    )
    trt, timing = doubles.module(), tmp_path / "kept" / "timing.cache"
    for _ in range(2):  # without a timing cache, and with one
        plan = build_plan(trt, tmp_path / "encode.onnx", SPEC, "encode", KEY, timing, told.append)
        assert plan.content == b"held" == timing.read_bytes()
        assert plan.layers == {"conv": 1}
    for name in ("IOptimizationProfile.set_shape", "IBuilderConfig.add_optimization_profile"):
        assert doubles.called.count(name) == 2 * len(RANGES)
    assert {"OnnxParser.parse_from_file", "IBuilderConfig.progress_monitor="} <= set(doubles.called)


@pytest.mark.parametrize(
    ("results", "why"),
    [
        ({"OnnxParser.parse_from_file": False, "OnnxParser.num_errors": 2}, "cannot read encode.onnx"),
        ({"IBuilderConfig.add_optimization_profile": -1}, "refuses the shapes of encode"),
        ({"Builder.build_serialized_network": None}, "cannot build encode"),
        ({"Runtime.deserialize_cuda_engine": None}, "cannot read the plan of encode back"),
    ],
)
def test_what_tensorrt_refuses_is_an_error(
    compiled: ModuleType, tmp_path: Path, results: dict[str, Any], why: str
) -> None:
    trt = Doubles(compiled, results).module()
    with pytest.raises(ExportError, match=why):
        build_plan(
            trt, tmp_path / "encode.onnx", SPEC, "encode", KEY, tmp_path / "t.cache", lambda text: None
        )


@pytest.mark.parametrize(
    ("refused", "said"),
    [
        ({"IBuilderConfig.create_timing_cache": None}, "measures anew"),
        ({"IBuilderConfig.set_timing_cache": False}, "measures anew"),
        ({"IBuilderConfig.get_timing_cache": None}, ""),
        ({"ITimingCache.serialize": None}, ""),
        ({"cannot be written": None}, "cannot be kept"),
    ],
)
def test_a_timing_cache_that_is_not_taken_costs_no_build(
    compiled: ModuleType, tmp_path: Path, refused: dict[str, Any], said: str
) -> None:
    (tmp_path / "timing.cache").write_bytes(b"of another version")
    timing = tmp_path / "timing.cache" / ("below" if "cannot be written" in refused else "")
    trt = Doubles(compiled, {**refused, "EngineInspector.get_engine_information": '{"Layers": []}'}).module()
    told: list[str] = []
    plan = build_plan(trt, tmp_path / "encode.onnx", SPEC, "encode", KEY, timing, told.append)
    assert plan.content == b"held"
    assert said in " ".join(told)


def test_a_timing_cache_belongs_to_a_version_and_a_gpu() -> None:
    others = [replace(KEY, tensorrt="10.3.0"), replace(KEY, gpu="NVIDIA H200"), KEY]
    assert len({timing_name(one) for one in others}) == 3
    assert timing_name(replace(KEY, bundle="another")) == timing_name(KEY)


def test_a_call_that_does_not_fit_is_found(compiled: ModuleType) -> None:
    """The doubles themselves: names, numbers and types of arguments."""
    trt = Doubles(compiled).module()
    logger = trt.Logger(trt.Logger.WARNING)
    builder = trt.Builder(logger)
    config, profile = builder.create_builder_config(), builder.create_optimization_profile()
    profile.set_shape("image", (1, 2), (1, 2), (1, 2))
    wrongs: list[Callable[[], Any]] = [
        lambda: trt.Builder(builder),
        lambda: builder.create_network(1, 2),
        lambda: config.set_memory_pool_limit(trt.BuilderFlag.TF32, 1),
        lambda: config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, "1"),
        lambda: profile.set_shape("image", (1, 2.5), (1, 2), (1, 2)),
        lambda: profile.set_shape("image", (1, 2), (1, 2)),
        lambda: profile.set_shape("image", least=(1, 2), opt=(1, 2), max=(1, 2)),
    ]
    for wrong in wrongs:
        with pytest.raises(TypeError):
            wrong()
    with pytest.raises(AttributeError):
        builder.create_plan()
    with pytest.raises(AssertionError):
        config.progress_monitor = 3


TYPES = {
    int: ("typing.SupportsInt", "int"),
    str: ("str",),
    bool: ("bool",),
    bytes: ("typing_extensions.Buffer", "buffer"),
    Any: ("tensorrt.tensorrt.ExecutionContextAllocationStrategy",),
}


@pytest.mark.parametrize(
    ("protocol", "real"),
    [
        (tensorrt_surface.Context, "IExecutionContext"),
        (tensorrt_surface.Engine, "ICudaEngine"),
        (tensorrt_surface.PlanReader, "Runtime"),
    ],
)
def test_the_runtimes_surface_is_nvidias(compiled: ModuleType, protocol: Any, real: str) -> None:
    """Each method takes as many arguments, of types that fit, and gives what we take it to give."""
    cls = getattr(compiled, real)
    for name in protocol.__annotations__:
        (found,) = signatures(getattr(cls, name).fget)
        assert found.result == "int"
    methods = {
        name: one for name, one in vars(protocol).items() if inspect.isfunction(one) and name[0] != "_"
    }
    assert methods
    for name, method in methods.items():
        hints = typing.get_type_hints(method, vars(tensorrt_surface))
        result = hints.pop("return")
        overloads = signatures(getattr(cls, name))
        fitting = [
            overload
            for overload in overloads
            if len([one for one in overload.parameters if not one.optional])
            <= len(hints)
            <= len(overload.parameters)
            and all(
                one.kind in TYPES.get(hint, ("tuple", "list", "tensorrt.tensorrt.Dims"))
                for one, hint in zip(overload.parameters, hints.values(), strict=False)
            )
        ]
        assert fitting, f"{real}.{name} is {overloads}"
        assert {one.result for one in fitting} <= {
            bool: {"bool"}, str: {"str"}, int: {"int"}, type(None): {"None"},
        }.get(result, {"tensorrt.tensorrt.Dims", f"tensorrt.tensorrt.{opened(name)}"})  # fmt: skip


def opened(name: str) -> str:
    """The class of what a method opens."""
    return {"create_execution_context": "IExecutionContext", "deserialize_cuda_engine": "ICudaEngine"}.get(
        name, ""
    )


def test_plans_are_read_by_nvidias_reader(compiled: ModuleType) -> None:
    doubles = Doubles(compiled)
    reader = open_reader(doubles.module(QuickPluginCreationRequest=1))
    assert reader.deserialize_cuda_engine(b"plan") is not None
    assert doubles.called == ["Logger.__init__", "Runtime.__init__", "Runtime.deserialize_cuda_engine"]


@pytest.mark.parametrize("plugin", plugin_modules(), ids=OPERATORS)
def test_a_plugin_is_made_of_nvidias_classes(
    compiled: ModuleType, plugin: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fields, types, formats, tensors and phases are the bindings' own: a build, and back from fields."""
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    rules: PluginRules = plugin.RULES
    cls = plugin_class(compiled, plugin, lambda: 87, lambda: SimpleNamespace())  # type: ignore[arg-type,return-value]
    node = {name: np.array([1], np.int32) for name in rules.attributes}
    node |= {name: np.array([1e-6], np.float32) for name in rules.numbers}
    built = cls(node, compiled.TensorRTPhase.BUILD)
    assert isinstance(built, compiled.IPluginV3 | compiled.IPluginV3OneBuild | compiled.IPluginV3OneRuntime)
    assert (built.plugin_name, built.plugin_namespace, built.plugin_version) == (
        rules.name,
        "framestate",
        "1",
    )
    assert built.num_outputs == len(rules.outputs)
    sizes = {"B": OPEN, "T": OPEN, "H": 2, "P": 16, "G": 1, "N": 16, "D": 48, "K": 16, "V": 16}
    every = []
    for rule in (*rules.inputs, *rules.outputs):
        tensor = compiled.DynamicPluginTensorDesc()
        inside = compiled.PluginTensorDesc()
        inside.dims = compiled.Dims(
            [sizes[dim[0]] + int(dim[1:] or 0) if dim not in "BT" else OPEN for dim in rule.dims]
        )
        inside.type, inside.format = compiled.DataType.FLOAT, compiled.TensorFormat.LINEAR
        tensor.desc = inside
        every.append(tensor)
    count = len(rules.inputs)
    assert all(built.supports_format_combination(place, every, count) for place in range(len(every)))
    built.configure_plugin(every[:count], every[count:])
    fields = built.get_fields_to_serialize()
    assert isinstance(fields, compiled.PluginFieldCollection)
    stored = {field.name: field.data for field in fields}
    running = cls(stored, compiled.TensorRTPhase.RUNTIME)
    assert running.code == built.code
    assert running.kernel.scalars == built.kernel.scalars
    assert running.clone().kernel == running.kernel
    assert (
        built.get_output_data_types([compiled.DataType.FLOAT] * count)
        == [compiled.DataType.FLOAT] * built.num_outputs
    )


def test_bindings_that_misread_fields_are_refused() -> None:
    """As those of 10.3.0 do beside NumPy 2: the first number of an array again and again."""
    misread = SimpleNamespace(
        PluginFieldType=SimpleNamespace(INT32=1),
        PluginField=lambda name, data, kind: SimpleNamespace(data=np.full(len(data), data[0])),
    )
    with pytest.raises(RuntimeError, match=r"read \[1, 2, 3\] as \[1, 1, 1\] with NumPy .*numpy below 2"):
        register_v3(misread, plugin_modules()[0], lambda: 87)


def test_creators_are_nvidias_too(compiled: ModuleType) -> None:
    kept: list[Any] = []
    registry = SimpleNamespace(register_creator=lambda made, space: kept.append(made))
    trt = Doubles(compiled).module(
        get_plugin_registry=lambda: registry,
        PluginField=compiled.PluginField,
        PluginFieldCollection=compiled.PluginFieldCollection,
    )
    for plugin in plugin_modules():
        register_v3(trt, plugin, lambda: 87)
    assert [one.name for one in kept] == [plugin.RULES.name for plugin in plugin_modules()]
    assert all(isinstance(one, compiled.IPluginCreatorV3One) for one in kept)
    for one, plugin in zip(kept, plugin_modules(), strict=True):
        names = [field.name for field in one.field_names]
        assert names[: len(plugin.RULES.attributes)] == list(plugin.RULES.attributes)
