"""Weights that halves hold exactly lie in a bundle once, as halves, and no number of a graph changes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from framestate.export.shared_weights import as_halves, share_weights, stored
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import load

SIDE = 32
RNG = np.random.default_rng(0)
HALVES = RNG.normal(size=(SIDE, SIDE)).astype(np.float16).astype(np.float32)
OTHER = RNG.normal(size=(SIDE, SIDE)).astype(np.float32)


def write_graph(path: Path) -> Path:
    nodes = [helper.make_node("MatMul", ["x", "a"], ["y"]), helper.make_node("MatMul", ["y", "b"], ["z"])]
    shown = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, SIDE]) for name in ("x", "z")]
    weights = [numpy_helper.from_array(value, name) for name, value in (("a", HALVES), ("b", OTHER))]
    graph = helper.make_graph(nodes, "two", shown[:1], shown[1:], weights)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10), path)
    return path


def result(path: Path) -> np.ndarray:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"x": np.linspace(-1, 1, SIDE, dtype=np.float32)[None]})[0])


def test_only_what_loses_nothing_is_halved() -> None:
    assert as_halves(HALVES).dtype == np.float16
    large = np.full((SIDE, SIDE), 1e6, np.float32)
    for value in (OTHER, large, HALVES[0], HALVES.astype(np.float64), np.full_like(HALVES, np.nan)):
        assert as_halves(value).dtype == value.dtype
    found = load(stored({"a": HALVES, "b": OTHER}))
    assert found["a"].nbytes * 2 == HALVES.nbytes
    for name, value in (("a", HALVES), ("b", OTHER)):
        np.testing.assert_array_equal(found[name].astype(np.float32), value)


def test_graphs_read_halves_where_the_model_does(tmp_path: Path) -> None:
    graph, weights, data = write_graph(tmp_path / "f.onnx"), tmp_path / "w.safetensors", tmp_path / "w.data"
    before = result(graph)
    weights.write_bytes(stored({"a": HALVES, "b": OTHER}))
    assert share_weights({"f.onnx": graph}, data, weights)
    assert data.stat().st_size == OTHER.nbytes
    onnx.checker.check_model(graph)
    np.testing.assert_array_equal(result(graph), before)


def test_without_others_no_file_is_left(tmp_path: Path) -> None:
    graph, weights, data = write_graph(tmp_path / "f.onnx"), tmp_path / "w.safetensors", tmp_path / "w.data"
    model = onnx.load(graph)
    model.graph.initializer[1].CopyFrom(numpy_helper.from_array(HALVES, "b"))
    onnx.save(model, graph)
    before = result(graph)
    weights.write_bytes(stored({"a": HALVES}))
    assert not share_weights({"f.onnx": graph}, data, weights)
    assert not data.exists()
    np.testing.assert_array_equal(result(graph), before)
