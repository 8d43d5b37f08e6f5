"""What of building TensorRT plans goes without TensorRT: graphs, profiles, the cache, refusals."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from framestate.bundles import Bundle, FunctionSpec, ModelSpec, TensorSpec
from framestate.errors import ExportError, OptionError, RuntimeUnavailableError
from framestate.export.bundle import write_graphs
from framestate.export.precision import Precision, shrink
from framestate.export.tensorrt import PlanOptions, cache_folder, export_tensorrt, store
from framestate.export.tensorrt_build import count_layers, profiles_of
from framestate.export.tensorrt_graph import prepare_graph
from framestate.plugins.tensorrt_registry import plugin_modules
from framestate.plugins.tensorrt_rules import OPEN
from framestate.runtimes import open_runtime
from framestate.runtimes.tensorrt_plan import SOUND, PlanKey, plan_key

CopyGraphs = Callable[[Path], dict[str, Path]]
KEY = PlanKey("b", "p", "fp32", 1, 8, 64, "11.4.0", "Orin")


@pytest.fixture(scope="module")
def plugin_graphs(tiny_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The small tracker in the dialect plugin, fp16 where it has weights, as it goes to TensorRT."""
    folder = tmp_path_factory.mktemp("plugin")
    graphs = write_graphs(tiny_bundle.spec, tiny_bundle.weights(), folder, lambda text: None, "plugin")
    for path in graphs.values():
        shrink(path, "fp16", [])
    return graphs


def test_a_graph_of_plugins_is_what_the_parser_wants(
    plugin_graphs: dict[str, Path], tiny_bundle: Bundle
) -> None:
    """Names, namespaces, attributes; and all that a plugin touches is float32, the state above all."""
    rules = {plugin.RULES.name: plugin.RULES for plugin in plugin_modules()}
    for file, path in plugin_graphs.items():
        function = tiny_bundle.spec.function(Path(file).stem)
        counts = prepare_graph(path, tiny_bundle.spec, function)
        graph = onnx.load(path).graph
        nodes = [node for node in graph.node if node.domain == "framestate"]
        assert len(nodes) == sum(counts.values()) > 0
        assert set(counts) == {"SsdScan", "CausalConv1d"}
        halves = {name for node in graph.node if node.op_type == "Cast" and node.attribute[0].i == 10
                  for name in node.output}  # fmt: skip
        assert halves  # what has weights does run in float16
        for node in nodes:
            rule = rules[node.op_type]
            assert (len(node.input), len(node.output)) == (len(rule.inputs), len(rule.outputs))
            attributes = {one.name: onnx.helper.get_attribute_value(one) for one in node.attribute}
            assert attributes.pop("plugin_namespace") == b"framestate"
            assert attributes.pop("plugin_version") == b"1"
            assert set(attributes) == set(rule.attributes)
            assert all(len(value) == 1 for value in attributes.values())
            assert not halves.intersection(node.input)
            assert not any(name.endswith("/fp16") for name in [*node.input, *node.output])
            shapes = [shape_of(graph, name) for name in node.input]
            sizes = rule.fixed(shapes)  # what a kernel is compiled for
            assert sizes["B"] == OPEN
            assert [len(shape_of(graph, name)) for name in node.output] == [
                len(one.dims) for one in rule.outputs
            ]
        assert graph.output[-1].name == SOUND


def shape_of(graph: onnx.GraphProto, name: str) -> list[int]:
    """A value's shape as TensorRT would tell it, ``OPEN`` where the batch stands."""
    for tensor in graph.initializer:
        if tensor.name == name:
            return list(tensor.dims)
    for value in (*graph.input, *graph.output, *graph.value_info):
        if value.name == name:
            return [dim.dim_value or OPEN for dim in value.type.tensor_type.shape.dim]
    raise AssertionError(f"{name} has no shape")


def test_the_check_of_the_state_finds_what_is_broken(
    copy_graphs: CopyGraphs, tiny_bundle: Bundle, tmp_path: Path
) -> None:
    """Run by ONNX Runtime: one number a row, NaN for the row with a broken state and no other."""
    path = copy_graphs(tmp_path)["init.onnx"]
    prepare_graph(path, tiny_bundle.spec, tiny_bundle.spec.function("init"))
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    template = np.random.default_rng(0).normal(size=(3, 3, 32, 32)).astype(np.float32)
    (sound,) = session.run([SOUND], {"template": template})
    assert sound.shape == (3,)
    assert np.isfinite(sound).all()
    template[1, 2, 3, 4] = np.nan
    (broken,) = session.run([SOUND], {"template": template})
    assert list(np.isfinite(broken)) == [True, False, True]
    np.testing.assert_allclose(broken[[0, 2]], sound[[0, 2]])


def test_an_operator_without_a_plugin_is_refused(
    copy_graphs: CopyGraphs, tiny_bundle: Bundle, tmp_path: Path
) -> None:
    path = copy_graphs(tmp_path)["init.onnx"]
    model = onnx.load(path)
    model.graph.node[0].domain, model.graph.node[0].op_type = "framestate", "RwkvScan"
    onnx.save(model, path)
    with pytest.raises(ExportError, match=r"init.onnx uses RwkvScan, which has no TensorRT plugin"):
        prepare_graph(path, tiny_bundle.spec, tiny_bundle.spec.function("init"))


def test_numbers_of_a_node_are_lists_too(tmp_path: Path) -> None:
    """The mLSTM's ``eps`` is a number, not an integer."""
    (rules,) = [plugin.RULES for plugin in plugin_modules() if plugin.RULES.name == "MlstmScan"]
    sizes: dict[str, int | str] = {"B": "batch", "T": 6, "H": 2, "K": 4, "V": 3}
    tensors = {
        rule.name: TensorSpec(rule.name, "float32", tuple(sizes[dim] for dim in rule.dims))
        for rule in (*rules.inputs, *rules.outputs)
    }
    inputs, outputs = ([rule.name for rule in side] for side in (rules.inputs, rules.outputs))
    node = onnx.helper.make_node("MlstmScan", inputs, outputs, domain="framestate", eps=1e-6)
    values = {name: onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, tensors[name].shape)
              for name in tensors}  # fmt: skip
    graph = onnx.helper.make_graph(
        [node], "one", [values[name] for name in inputs], [values[name] for name in outputs]
    )
    path = tmp_path / "one.onnx"
    onnx.save(onnx.helper.make_model(graph), path)
    function = FunctionSpec(tuple(map(tensors.__getitem__, inputs)), tuple(map(tensors.__getitem__, outputs)))
    spec = ModelSpec("one", "tracking", "none", {}, {}, {"step": function}, ())
    assert prepare_graph(path, spec, function) == {"MlstmScan": 1}
    (made,) = onnx.load(path).graph.node
    attributes = {one.name: onnx.helper.get_attribute_value(one) for one in made.attribute}
    assert attributes.pop("eps") == [pytest.approx(1e-6)]
    assert attributes == {"plugin_namespace": b"framestate", "plugin_version": b"1"}


def test_the_profile_covers_every_input_and_state(tiny_bundle: Bundle) -> None:
    spec = tiny_bundle.spec
    function = spec.function("step")
    (profile,) = profiles_of(spec, function, KEY)
    assert set(profile) == {t.name for t in function.inputs} | {
        f"past_state.{n}" for n in function.reads_state
    }
    for shapes in profile.values():
        assert [shape[0] for shape in shapes] == [1, 8, 64]
        assert len({shape[1:] for shape in shapes}) == 1


def test_layers_are_counted_by_kind() -> None:
    told = '{"Layers": [{"LayerType": "PluginV3"}, {"LayerType": "conv"}, {"LayerType": "conv"}, "x"]}'
    assert count_layers(told) == {"PluginV3": 1, "conv": 2, "unknown": 1}
    for useless in ("", "[]", '{"Layers": 3}', "{}"):
        assert count_layers(useless) == {}


def test_the_cache(tmp_path: Path) -> None:
    assert cache_folder({"XDG_CACHE_HOME": "/c"}) == Path("/c/framestate/tensorrt")
    assert cache_folder({"XDG_CACHE_HOME": "relative"}) == cache_folder({})
    kept = tmp_path / KEY.digest / "init.plan"
    store(kept, b"one")
    store(kept, b"two")
    assert kept.read_bytes() == b"two"
    assert [path.name for path in kept.parent.iterdir()] == ["init.plan"]
    with pytest.raises(ExportError, match=r"cannot be written .*XDG_CACHE_HOME"):
        store(kept / "below" / "a.plan", b"")


@pytest.mark.skipif(importlib.util.find_spec("tensorrt") is not None, reason="TensorRT is installed")
def test_without_tensorrt_nothing_is_written(tiny_bundle: Bundle, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(RuntimeUnavailableError, match=r"does not import.*framestate\[tensorrt\]"):
        export_tensorrt(tiny_bundle, out, PlanOptions())
    assert not out.exists()
    with pytest.raises(OptionError, match="plans are not built in 'int8'"):
        PlanOptions("int8")


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_plan_is_built_proven_and_opened_on_a_gpu(
    tiny_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, precision: Precision
) -> None:
    pytest.importorskip("tensorrt")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    options = PlanOptions(precision, usual=2, largest=4)
    bundle, parity = export_tensorrt(tiny_bundle, tmp_path / "plans", options, frames=30)
    assert parity.passed
    assert plan_key(bundle).precision == precision
    runtime = open_runtime(bundle, "tensorrt")
    outputs, state = runtime.call("init", {"template": np.zeros((3, 3, 32, 32), np.float32)}, None)
    assert outputs == {}
    assert set(state or {}) == set(tiny_bundle.spec.function("init").writes_state)
    runtime.close()
