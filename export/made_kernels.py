"""Convolutions whose kernel is made from an input, as Siamese heads have them, opened for batches.

ONNX's Conv has one kernel for a whole batch, so a head that makes its kernel from the template takes one row
only. Here a Scan goes over the rows, and each is convolved with its own kernel.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OLDEST = 9  # opset, from which on a Scan needs no lengths
Shapes = Mapping[str, tuple[int, ...]]


def open_made_kernels(model: onnx.ModelProto) -> int:
    """Replaces each 2-D Conv whose kernel is no constant, in place; returns how many there were.

    ``model`` is for one row and has its shapes inferred. A node of unknown sizes or another opset is left as
    it is.
    """
    graph = model.graph
    if any(one.domain in ("", "ai.onnx") and one.version < OLDEST for one in model.opset_import):
        return 0
    fixed = {tensor.name for tensor in graph.initializer}
    makers = {name: node for node in graph.node for name in node.output}
    shapes = _shapes(graph)
    nodes: list[onnx.NodeProto] = []
    opened = 0
    for node in graph.node:
        made = node.op_type == "Conv" and not _constant(node.input[1], fixed, makers)
        opening = _opened(node, makers, shapes, graph) if made else None
        nodes += [node] if opening is None else opening
        opened += opening is not None
    used = {name for node in nodes for name in node.input} | {value.name for value in graph.output}
    del graph.node[:]
    graph.node.extend(
        node for node in nodes if used.intersection(node.output)
    )  # a kernel's fold is in nobody's way
    return opened


def _constant(name: str, fixed: set[str], makers: Mapping[str, onnx.NodeProto]) -> bool:
    """Whether a value depends on no input."""
    if name in fixed or not name:
        return True
    maker = makers.get(name)
    return maker is not None and all(_constant(one, fixed, makers) for one in maker.input)


def _opened(
    node: onnx.NodeProto, makers: Mapping[str, onnx.NodeProto], shapes: Shapes, graph: onnx.GraphProto
) -> list[onnx.NodeProto] | None:
    """The nodes that stand for one Conv; None where its sizes are not known."""
    field, kernel, out = (shapes.get(name, ()) for name in (node.input[0], node.input[1], node.output[0]))
    if not all(map(_known, (field, kernel, out))):
        return None
    base = node.output[0]

    def constant(name: str, *values: int) -> str:
        graph.initializer.append(numpy_helper.from_array(np.array(values, np.int64), f"{base}/{name}"))
        return f"{base}/{name}"

    # Each row's own kernel: what folds the rows into the kernel's first axis is gone round.
    source, maker = node.input[1], makers.get(node.input[1])
    if maker is not None and maker.op_type == "Reshape":
        source = maker.input[0]
    convolved = onnx.NodeProto.FromString(node.SerializeToString())
    convolved.input[:] = [f"{base}/row_as_one", f"{base}/row_kernel", *node.input[2:]]
    convolved.output[:] = [f"{base}/row_made"]
    body = helper.make_graph(
        [
            helper.make_node(
                "Reshape", [f"{base}/row", constant("one", 1, *field[1:])], [convolved.input[0]]
            ),
            convolved,
            helper.make_node("Reshape", [f"{base}/row_made", constant("row_out", *out[1:])], [f"{base}/out"]),
        ],
        f"{base}/a_row",
        [_value(f"{base}/row", field[1:]), _value(f"{base}/row_kernel", kernel)],
        [_value(f"{base}/out", out[1:])],
    )
    return [
        helper.make_node("Reshape", [source, constant("kernels_shape", -1, *kernel)], [f"{base}/kernels"]),
        helper.make_node("Scan", [node.input[0], f"{base}/kernels"], [base], num_scan_inputs=2, body=body),
    ]


def _value(name: str, shape: tuple[int, ...]) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def _known(shape: tuple[int, ...]) -> bool:
    return len(shape) == 4 and all(shape)


def _shapes(graph: onnx.GraphProto) -> dict[str, tuple[int, ...]]:
    found = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    for value in (*graph.input, *graph.value_info, *graph.output):
        found[value.name] = tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim)
    return found
