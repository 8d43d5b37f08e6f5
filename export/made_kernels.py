"""Convolutions whose kernel is made from an input, as Siamese heads have them, opened for batches.

ONNX's Conv has one kernel for a whole batch, so a head that makes its kernel from the template takes one row
only. The same sum is written out here: for every tap of the kernel, the slice of the (padded) map that the
tap sees, times the tap of each row's own kernel; the products are added.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

OLDEST = 11  # opset, from which on Pad and Slice take their numbers as inputs
Shapes = Mapping[str, tuple[int, ...]]


def open_made_kernels(model: onnx.ModelProto) -> int:
    """Replaces each 2-D Conv whose kernel is no constant, in place; returns how many there were.

    ``model`` is for one row and has its shapes inferred. A node of another kind (1-D, ``auto_pad``, unknown
    sizes) or opset is left as it is.
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
        taps = _opened(node, makers, shapes, graph) if made else None
        nodes += [node] if taps is None else taps
        opened += taps is not None
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
    """The nodes that stand for one Conv; None for one of another kind."""
    has = {entry.name: helper.get_attribute_value(entry) for entry in node.attribute}
    seen, kernel, out = (shapes.get(name, ()) for name in (node.input[0], node.input[1], node.output[0]))
    if has.get("auto_pad", b"NOTSET") != b"NOTSET" or not all(map(_known, (seen, kernel, out))):
        return None
    group, (many, deep, tall, wide) = int(has.get("group", 1)), kernel
    pads, strides, gaps = (
        [int(one) for one in has.get(key, default)]
        for key, default in (("pads", [0] * 4), ("strides", [1] * 2), ("dilations", [1] * 2))
    )
    plain = deep == 1 and many == group  # a kernel a channel: no sum but that over taps
    base = node.output[0]
    made: list[onnx.NodeProto] = []

    def add(kind: str, *inputs: str, **attributes: Any) -> str:
        name = f"{base}/{kind}_{len(made)}"
        made.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def constant(*values: int) -> str:
        name = f"{base}/" + "_".join(map(str, values))
        if all(tensor.name != name for tensor in graph.initializer):
            graph.initializer.append(numpy_helper.from_array(np.array(values, np.int64), name))
        return name

    # Each row's own kernel: what folds the rows into the kernel's first axis is gone round.
    source = node.input[1]
    maker = makers.get(source)
    if maker is not None and maker.op_type == "Reshape":
        source = maker.input[0]
    rows = add("Reshape", source, constant(-1, many, deep, tall, wide))
    field = node.input[0]
    if any(pads):
        field = add("Pad", field, constant(0, 0, pads[0], pads[1], 0, 0, pads[2], pads[3]))
    total = ""
    for down, across in product(range(tall), range(wide)):
        starts = [down * gaps[0], across * gaps[1]]
        ends = [
            start + stride * (side - 1) + 1
            for start, stride, side in zip(starts, strides, out[2:], strict=True)
        ]
        part = add("Slice", field, constant(*starts), constant(*ends), constant(2, 3), constant(*strides))
        tap = add("Slice", rows, constant(down, across), constant(down + 1, across + 1), constant(3, 4))
        if plain:
            value = add("Mul", part, add("Reshape", tap, constant(0, many, 1, 1)))
        else:
            part = add("Reshape", part, constant(0, group, deep, out[2] * out[3]))
            value = add("MatMul", add("Reshape", tap, constant(0, group, many // group, deep)), part)
        total = add("Add", total, value) if total else value
    if not plain:
        total = add("Reshape", total, constant(0, many, out[2], out[3]))
    if len(node.input) > 2 and node.input[2]:
        total = add("Add", total, add("Reshape", node.input[2], constant(many, 1, 1)))
    made.append(helper.make_node("Identity", [total], [base]))
    return made


def _known(shape: tuple[int, ...]) -> bool:
    return len(shape) == 4 and all(shape)


def _shapes(graph: onnx.GraphProto) -> dict[str, tuple[int, ...]]:
    found = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    for value in (*graph.input, *graph.value_info, *graph.output):
        found[value.name] = tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim)
    return found
