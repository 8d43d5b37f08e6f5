"""Smaller numbers and other dialects: what changes, what does not, and what the manifest says."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from framestate.bundles import Bundle, past_name, write_bundle
from framestate.errors import ExportError, OptionError
from framestate.export.bundle import GraphOptions, finish_graphs, write_graphs
from framestate.export.calibration import Clip, Feeds, record_feeds, synthetic_clips
from framestate.export.precision import Precision, half_nodes, quantised_nodes, shrink, weighted_nodes
from framestate.export.proof import prove
from framestate.export.shared_weights import share_weights
from framestate.runtimes import Runtime, open_runtime
from framestate.runtimes.eager import EagerRuntime
from framestate.vision import Frame
from framestate.vision.synthetic import demo_clip

CopyGraphs = Callable[[Path], dict[str, Path]]
RECURRENT = ("LinearAttention", "CausalConvWithState", "CumSum", "Where")
"""What only recurrent operators are made of, in either dialect."""


@pytest.fixture(scope="module")
def feeds(tiny_bundle: Bundle) -> Feeds:
    """What the small tracker's functions are fed on rendered clips."""
    runtime = open_runtime(tiny_bundle, "onnx", threads=1)
    return record_feeds(runtime, synthetic_clips(frames=12), every=2)


def worst(bundle: Bundle, reference: Runtime, feeds: Feeds) -> float:
    """The largest relative difference over all functions' feeds, states too."""
    runtime = open_runtime(bundle, "onnx", threads=1)
    found = 0.0
    for function, spec in bundle.spec.functions.items():
        for feed in feeds[function][:6]:
            inputs = {tensor.name: feed[tensor.name] for tensor in spec.inputs}
            state = {key: feed[past_name(key)] for key in spec.reads_state} or None
            for ours, theirs in zip(
                runtime.call(function, inputs, state), reference.call(function, inputs, state), strict=True
            ):
                for name, value in dict(theirs or {}).items():
                    difference = np.abs(np.asarray(dict(ours or {})[name]) - np.asarray(value)).max()
                    found = max(found, float(difference / np.abs(np.asarray(value)).max()))
    return found


@pytest.fixture(scope="module")
def portable_graphs(tiny_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The small tracker in plain ONNX, its recurrence unrolled; each graph with its weights inside."""
    folder = tmp_path_factory.mktemp("portable")
    return write_graphs(tiny_bundle.spec, tiny_bundle.weights(), folder, print, "portable")


@pytest.fixture
def float_graphs(request: pytest.FixtureRequest, copy_graphs: CopyGraphs, tmp_path: Path) -> dict[str, Path]:
    """Float32 graphs in the dialect of the test, to be changed."""
    folder = tmp_path / "graphs"
    folder.mkdir()
    if request.param == "ort":
        return copy_graphs(folder)
    plain = request.getfixturevalue("portable_graphs")
    return {name: Path(shutil.copy(path, folder / name)) for name, path in plain.items()}


@pytest.mark.parametrize("float_graphs", ["ort", "portable"], indirect=True)
@pytest.mark.parametrize(
    ("precision", "least", "most", "share"),
    [("fp32", 0.0, 1e-5, 1.0), ("fp16", 1e-5, 0.05, 0.7), ("int8", 1e-3, 1.0, 0.6)],
)
def test_graphs_in_every_precision(
    tiny_bundle: Bundle, float_graphs: dict[str, Path], feeds: Feeds, tmp_path: Path,
    precision: Precision, least: float, most: float, share: float,
) -> None:  # fmt: skip
    """Smaller, a little off, and float32 wherever a state passes."""
    files = finish_graphs(float_graphs, GraphOptions(precision=precision), feeds, print)
    bundle = write_bundle(tmp_path / "out", tiny_bundle.spec, files, provenance={}, metrics={}, parity={})
    assert least <= worst(bundle, open_runtime(tiny_bundle, "onnx", threads=1), feeds) <= most
    assert bundle.files["weights.data"].bytes <= 1.05 * share * tiny_bundle.files["weights.data"].bytes
    graphs = [onnx.load(bundle.file(name)).graph for name in float_graphs]
    for graph in graphs:
        for value in (*graph.input, *graph.output):
            assert value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT, value.name
        for node in graph.node:
            if node.op_type in RECURRENT:
                assert not any(name.endswith("/fp16") for name in (*node.input, *node.output)), node.name
                producers = {n.op_type for n in graph.node if set(n.output).intersection(node.input)}
                assert "DequantizeLinear" not in producers, node.name
    kinds = Counter(tensor.data_type for graph in graphs for tensor in graph.initializer)
    smaller = {"fp16": onnx.TensorProto.FLOAT16, "int8": onnx.TensorProto.INT8}.get(precision)
    assert smaller is None or kinds[smaller] > 4


def test_portable_graphs_are_plain_onnx_and_the_same_tracker(
    tiny_bundle: Bundle, portable_graphs: dict[str, Path], tmp_path: Path
) -> None:
    files: dict[str, Path | bytes] = {**portable_graphs}
    bundle = write_bundle(tmp_path / "out", tiny_bundle.spec, files, provenance={}, metrics={}, parity={})
    for path in portable_graphs.values():
        assert {node.domain for node in onnx.load(path).graph.node} == {""}
    candidate = open_runtime(bundle, "onnx", threads=1)
    assert prove(EagerRuntime(tiny_bundle), candidate, frames=10).passed


def test_what_is_made_smaller(tiny_bundle: Bundle) -> None:
    graph = onnx.load(tiny_bundle.file("step.onnx")).graph
    nodes = {node.name: node for node in graph.node}
    weighted = weighted_nodes(graph)
    assert {nodes[name].op_type for name in weighted} == {"Conv", "MatMul"}
    constants = {tensor.name for tensor in graph.initializer}
    assert all(nodes[name].input[1] in constants for name in weighted)
    halves = half_nodes(graph)
    assert set(weighted) < halves
    assert not any(nodes[name].domain == "com.microsoft" for name in halves)
    quantised = set(quantised_nodes(graph))
    assert quantised < set(weighted)
    last = next(node for node in reversed(graph.node) if node.op_type == "Conv")
    assert last.name not in quantised  # the maps share one scale


def test_a_convolution_over_time_stays_as_it_is(tmp_path: Path) -> None:
    """The portable dialect has its causal convolution as a Conv, which reads the state."""
    constants = [
        onnx.numpy_helper.from_array(np.ones(shape, np.float32), name)
        for name, shape in (("w1", (4, 1, 3)), ("w2", (4, 4, 3, 3)), ("w3", (4, 4)))
    ]
    nodes = [
        onnx.helper.make_node("Conv", ["x", "w1"], ["a"], name="over_time", group=4),
        onnx.helper.make_node("Conv", ["y", "w2"], ["b"], name="over_space"),
        onnx.helper.make_node("MatMul", ["z", "w3"], ["c"], name="product"),
        onnx.helper.make_node("MatMul", ["z", "c"], ["d"], name="of_two_states"),
    ]
    assert weighted_nodes(onnx.helper.make_graph(nodes, "g", [], [], constants)) == ["over_space", "product"]


def test_int8_without_frames(copy_graphs: CopyGraphs, tmp_path: Path) -> None:
    path = copy_graphs(tmp_path)["step.onnx"]
    with pytest.raises(ExportError, match=r"int8 needs frames to calibrate on.*--calibrate"):
        shrink(path, "int8", [])
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no graph")
    for precision in ("fp16", "int8"):
        with pytest.raises(ExportError, match=r"broken\.onnx cannot be .*fp32"):
            shrink(broken, precision, [{"x": np.zeros(1)}])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken.onnx", "init.onnx", "step.onnx"]


def test_weights_are_stored_once(tiny_bundle: Bundle, copy_graphs: CopyGraphs, tmp_path: Path) -> None:
    graphs = copy_graphs(tmp_path)
    before = {name: path.stat().st_size for name, path in graphs.items()}
    values = {name: onnx.load(path) for name, path in graphs.items()}
    assert share_weights(graphs, tmp_path / "weights.data")
    shared = (tmp_path / "weights.data").stat().st_size
    assert sum(path.stat().st_size for path in graphs.values()) + shared < 0.9 * sum(before.values())
    for name, path in graphs.items():
        for new, old in zip(onnx.load(path).graph.initializer, values[name].graph.initializer, strict=True):
            assert np.array_equal(onnx.numpy_helper.to_array(new), onnx.numpy_helper.to_array(old))
        for tensor in onnx.load(path, load_external_data=False).graph.initializer:
            for entry in tensor.external_data:
                assert entry.key != "offset" or int(entry.value) % 64 == 0
    small = onnx.helper.make_graph(
        [onnx.helper.make_node("Add", ["x", "w"], ["y"])], "g",
        [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [3])],
        [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [3])],
        [onnx.numpy_helper.from_array(np.ones(3, np.float32), "w")],
    )  # fmt: skip
    onnx.save(onnx.helper.make_model(small), tmp_path / "small.onnx")
    assert not share_weights({"small.onnx": tmp_path / "small.onnx"}, tmp_path / "none.data")
    assert not (tmp_path / "none.data").exists()


def test_nothing_of_this_machine_is_in_a_graph(tiny_bundle: Bundle, checkout: Path) -> None:
    """The exporter notes stack traces; bundles travel."""
    for function in tiny_bundle.spec.functions:
        content = tiny_bundle.file(f"{function}.onnx").read_bytes()
        assert str(checkout).encode() not in content
        assert b"site-packages" not in content
        assert not any(
            node.metadata_props for node in onnx.load(tiny_bundle.file(f"{function}.onnx")).graph.node
        )


def test_calibration_follows_what_it_is_given(tiny_bundle: Bundle, feeds: Feeds) -> None:
    assert set(feeds) == {"init", "step"}
    step = tiny_bundle.spec.function("step")
    names = {tensor.name for tensor in step.inputs} | {past_name(key) for key in step.reads_state}
    assert all(set(feed) == names for feed in feeds["step"])
    assert len(feeds["step"]) == 18  # every second of three times eleven frames, from the first on
    assert len(feeds["init"]) >= 3
    searches = {feed["search"].tobytes() for feed in feeds["step"]}
    assert len(searches) == len(feeds["step"])
    runtime = open_runtime(tiny_bundle, "onnx", threads=1)
    image, box, _ = next(iter(demo_clip(0, 1)))
    with pytest.raises(ExportError, match="to calibrate on gave no frames"):
        record_feeds(runtime, [])
    single = Clip("one frame", box, lambda: iter([Frame(image, 0, Fraction(1, 25), 0)]))
    with pytest.raises(ExportError, match="two frames or more"):
        record_feeds(runtime, [single])


def test_bf16_keeps_state_and_recurrence_in_float32(tiny_bundle: Bundle, feeds: Feeds) -> None:
    exact, rough = EagerRuntime(tiny_bundle), EagerRuntime(tiny_bundle, precision="bf16")
    spec = tiny_bundle.spec.function("step")
    feed = feeds["step"][3]
    inputs = {tensor.name: feed[tensor.name] for tensor in spec.inputs}
    state = {key: torch.from_numpy(feed[past_name(key)]) for key in spec.reads_state}
    expected, _ = exact.call("step", inputs, state)
    found, written = rough.call("step", inputs, state)
    assert {value.dtype.name for value in found.values()} == {"float32"}
    assert {str(value.dtype) for value in (written or {}).values()} == {"torch.float32"}
    differences = [np.abs(found[name] - expected[name]).max() for name in expected]
    assert 1e-4 < max(differences) < 0.5
    with pytest.raises(OptionError, match="'fp8' is unknown"):
        EagerRuntime(tiny_bundle, precision="fp8")
