"""Smaller numbers for ONNX graphs: fp16, and int8 by static quantisation calibrated on real crops.

Only operators with weights change (convolutions over two dimensions, matrix products with a constant), and
for fp16 what merely reshapes, adds or activates their results. All else stays float32: inputs, outputs,
states, and the recurrent operators in every dialect, since a state that is rounded each frame drifts. Whether
the smaller graph is still the same tracker is for ``parity`` to say.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from ..errors import ExportError
from ..runtimes import Arrays

Precision = Literal["fp32", "fp16", "int8"]
PRECISIONS: tuple[Precision, ...] = ("fp32", "fp16", "int8")

FOLLOWERS = (
    "Add", "Clip", "Concat", "Flatten", "HardSigmoid", "HardSwish", "Identity", "MaxPool", "Mul", "Relu",
    "Reshape", "Sigmoid", "Slice", "Split", "Squeeze", "Transpose", "Unsqueeze",
)  # fmt: skip


def weighted_nodes(graph: onnx.GraphProto) -> list[str]:
    """Names of the nodes that hold the weights: products with a constant, convolutions over two dimensions.

    A convolution over one dimension runs over time: it is recurrent, and not among them.
    """
    constants = {tensor.name: len(tensor.dims) for tensor in graph.initializer}
    found = []
    for node in graph.node:
        if node.domain not in ("", "ai.onnx"):
            continue
        rank = next((constants[name] for name in node.input[1:2] if name in constants), 0)
        if (node.op_type == "Conv" and rank == 4) or (node.op_type in ("MatMul", "Gemm") and rank):
            found.append(node.name)
    return found


def quantised_nodes(graph: onnx.GraphProto) -> list[str]:
    """Names of the nodes that int8 covers: those with weights, except where 8 bits cost most and bring least.

    These are the last ones before the outputs, whose maps share one scale, and depthwise convolutions, which
    have few weights and widely different channels.
    """
    weighted = set(weighted_nodes(graph))
    leads_to_weights: set[str] = set()  # names of tensors
    chosen = []
    for node in reversed(graph.node):
        leads = leads_to_weights.intersection(node.output)
        if leads or node.name in weighted:
            leads_to_weights.update(node.input)
        grouped = any(attribute.name == "group" and attribute.i > 1 for attribute in node.attribute)
        if leads and node.name in weighted and not grouped:
            chosen.append(node.name)
    return chosen[::-1]


def half_nodes(graph: onnx.GraphProto) -> set[str]:
    """Names of the nodes that fp16 covers: those with weights, and followers that read nothing else."""
    chosen = set(weighted_nodes(graph))
    constants = {tensor.name for tensor in graph.initializer}
    halves: set[str] = set()  # names of tensors
    for node in graph.node:
        if node.name not in chosen and node.op_type in FOLLOWERS and node.domain in ("", "ai.onnx"):
            data = [name for name in node.input[: data_inputs(node)] if name not in constants]
            if data and halves.issuperset(data):
                chosen.add(node.name)
        if node.name in chosen:
            halves.update(node.output)
    return chosen


def name_nodes(model: onnx.ModelProto) -> None:
    """Gives every node a name of its own, in place."""
    seen: set[str] = set()
    for index, node in enumerate(model.graph.node):
        if not node.name or node.name in seen:
            node.name = f"node_{index}_{node.op_type}"
        seen.add(node.name)


def shrink(path: Path, precision: Precision, feeds: Sequence[Arrays]) -> None:
    """Rewrites a float32 graph in a precision, in place; ``feeds`` as in ``to_int8``. Raises ExportError."""
    if precision == "fp16":
        to_fp16(path)
    elif precision == "int8":
        to_int8(path, feeds)


def to_fp16(path: Path) -> None:
    """Rewrites a graph's weights and their arithmetic to float16, in place. Raises ExportError."""
    try:
        model = onnx.load(path)
        name_nodes(model)
        halve(model.graph, half_nodes(model.graph))
        onnx.save(model, path)  # ONNX's checker knows no operators of ONNX Runtime; the proof opens it
    except Exception as error:  # onnx and NumPy raise what they meet
        raise ExportError(f"{path.name} cannot be converted to fp16 ({error})", "export in fp32") from error


def halve(graph: onnx.GraphProto, chosen: set[str]) -> None:
    """Lets the chosen nodes compute in float16; casts stand where they meet the others. In place."""
    constants = {t.name: t for t in graph.initializer if t.data_type == onnx.TensorProto.FLOAT}
    halves = {name for node in graph.node if node.name in chosen for name in node.output}
    made: set[str] = set()  # half-precision values that exist so far
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        nodes.append(node)
        if node.name not in chosen:
            continue
        for place, name in enumerate(node.input):
            if name in constants:
                if half_name(name) not in made:
                    value = onnx.numpy_helper.to_array(constants[name])
                    limit = np.finfo(np.float16).max
                    small = value.clip(-limit, limit).astype(np.float16)
                    graph.initializer.append(onnx.numpy_helper.from_array(small, half_name(name)))
                node.input[place] = half_name(name)
            elif name in halves or (name and place < data_inputs(node)):
                if half_name(name) not in made:
                    nodes.insert(-1, cast(name, half_name(name), onnx.TensorProto.FLOAT16))
                node.input[place] = half_name(name)
            else:
                continue
            made.add(half_name(name))
        for place, name in enumerate(node.output):
            node.output[place] = half_name(name)
            made.add(half_name(name))
            nodes.append(cast(half_name(name), name, onnx.TensorProto.FLOAT))
    used = {name for node in nodes for name in node.input} | {value.name for value in graph.output}
    kept = [node for node in nodes if node.op_type != "Cast" or used.intersection(node.output)]
    left = [tensor for tensor in graph.initializer if tensor.name in used]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(kept)
    graph.initializer.extend(left)


def half_name(name: str) -> str:
    """How the float16 form of a value is called."""
    return f"{name}/fp16"


def data_inputs(node: onnx.NodeProto) -> int:
    """How many of a node's first inputs are its data; shapes and indices follow them."""
    return len(node.input) if node.op_type in ("Add", "Concat", "Mul") else 1


def cast(source: str, target: str, kind: int) -> onnx.NodeProto:
    """A node that casts one value to another type."""
    return onnx.helper.make_node("Cast", [source], [target], name=f"cast/{target}", to=kind)


class FeedReader(CalibrationDataReader):  # type: ignore[misc]
    """Feeds of one function, one after another, as the quantiser wants them."""

    def __init__(self, feeds: Sequence[Arrays]) -> None:
        self._feeds: Iterator[Arrays] = iter(feeds)

    def get_next(self) -> dict[str, Any] | None:
        """The next feeds, or None at the end."""
        return next(self._feeds, None)


def to_int8(path: Path, feeds: Sequence[Arrays]) -> None:
    """Rewrites a graph with 8-bit convolutions and matrix products (QDQ), in place.

    Args:
        path: the float32 graph.
        feeds: what the graph is fed on real frames, by the names of its inputs; they set the scales.

    Raises:
        ExportError: there are no feeds, or a step of the quantiser fails.
    """
    if not feeds:
        raise ExportError("int8 needs frames to calibrate on, and there are none", "give --calibrate VIDEO")
    level = logging.getLogger().level
    prepared = path.with_suffix(".float.onnx")
    try:
        logging.getLogger().setLevel(logging.ERROR)
        model = onnx.load(path)
        name_nodes(model)
        onnx.save(model, prepared)
        quantize_static(
            str(prepared),
            str(path),
            FeedReader(
                [{name: np.ascontiguousarray(value) for name, value in feed.items()} for feed in feeds]
            ),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv", "MatMul", "Gemm"],
            nodes_to_quantize=quantised_nodes(model.graph),
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
    except Exception as error:  # the quantiser raises what it meets
        raise ExportError(f"{path.name} cannot be quantised ({error})", "export in fp32 or fp16") from error
    finally:
        logging.getLogger().setLevel(level)
        prepared.unlink(missing_ok=True)
