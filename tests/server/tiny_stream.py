"""A very small model of the task ``stream``, in plain ONNX: the mean of the frames so far, fading."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from framestate.bundles import Bundle

SHAPE = ("batch", 3, 24, 32)


def write_stream(folder: Path) -> Bundle:
    """``image`` and the state ``mean`` → the mean as a picture, how far the frame is from it, and where."""
    from framestate.bundles import FunctionSpec, ModelSpec, TensorSpec, write_bundle
    from onnx import TensorProto, helper

    image, mean = TensorSpec("image", "float32", SHAPE), TensorSpec("mean", "float32", SHAPE)
    outputs = (
        TensorSpec("shown", "float32", SHAPE),
        TensorSpec("far", "float32", ("batch", 1)),
        TensorSpec("where", "float32", SHAPE),
    )
    step = FunctionSpec((image,), outputs, ("mean",), ("mean",))
    preprocess: dict[str, Any] = {"inputs": {"image": {}}, "outputs": {"shown": {"kind": "picture"}}}
    spec = ModelSpec("tiny-stream", "stream", "none", {}, preprocess, {"step": step}, (mean,))
    node, past = helper.make_node, "past_state.mean"
    nodes = [
        node("Sub", ["image", past], ["apart"]),
        node("Mul", ["apart", "quarter"], ["change"]),
        node("Add", [past, "change"], ["present_state.mean"]),
        node("Identity", ["present_state.mean"], ["shown"]),
        node("Abs", ["apart"], ["where"]),
        node("ReduceMean", ["where", "axes"], ["mean_of_it"], keepdims=0),
        node("Unsqueeze", ["mean_of_it", "one"], ["far"]),
    ]
    shapes = {one.name: one.shape for one in (image, *outputs)} | {past: SHAPE, "present_state.mean": SHAPE}
    values = {
        name: helper.make_tensor_value_info(name, TensorProto.FLOAT, list(shape))
        for name, shape in shapes.items()
    }
    constants = [
        helper.make_tensor("quarter", TensorProto.FLOAT, [], [0.25]),
        helper.make_tensor("axes", TensorProto.INT64, [3], [1, 2, 3]),
        helper.make_tensor("one", TensorProto.INT64, [1], [1]),
    ]
    graph = helper.make_graph(
        nodes,
        "step",
        [values["image"], values[past]],
        [values[name] for name in ("shown", "far", "where", "present_state.mean")],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    files: dict[str, Path | bytes] = {"step.onnx": model.SerializeToString()}
    return write_bundle(folder, spec, files, provenance={}, metrics={}, parity={})
