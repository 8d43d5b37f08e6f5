"""What a Siamese head computes of the template alone goes from ``step`` into ``init``: once, not each frame.

The results become the state, in place of the backbone's features. What the head matches with the template,
``K (W x + b)`` for a kernel K that the template makes, is read as ``(K W) x + K b``: neither bracket nor the
sum's second part depends on a frame.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import onnx
from onnx import helper

from ..bundles import past_name, present_name
from .graph_view import GraphView, reads
from .onnx_surgery import inferred, renamed
from .quicker_graphs import map_of

Two = tuple[onnx.ModelProto, onnx.ModelProto]


def with_template_part(init: onnx.ModelProto, step: onnx.ModelProto, key: str) -> tuple[Two, tuple[str, ...]]:
    """Both graphs with that part moved, and the names of the states that they write and read.

    Args:
        init: gives the state ``key``.
        step: reads it. Both are for one row, have their shapes inferred, and no Constant nodes.
        key: the name of the one state that there is.
    """
    associate(step, {node.output[0] for node in template_nodes(step, past_name(key))})
    step = inferred(step, "the head")
    moved = template_nodes(step, past_name(key))
    kept = [node for node in step.graph.node if all(node is not other for other in moved)]
    read = {value.name for value in step.graph.output}.union(*map(reads, kept))
    border = [name for node in moved for name in node.output if name in read]
    if past_name(key) in read or not border:
        return (init, step), (key,)
    states = {name: f"template.{place}" for place, name in enumerate(border)}
    first, second = renamed(init, {present_name(key): past_name(key)}), renamed(step, {})
    shapes = {value.name: value for value in step.graph.value_info}
    constants = set[str]().union(*map(reads, moved))
    first.graph.node.extend(moved)
    first.graph.initializer.extend(one for one in step.graph.initializer if one.name in constants)
    _replace(first.graph.output, [shapes[name] for name in border])
    _replace(second.graph.node, kept)
    others = [value for value in second.graph.input if value.name != past_name(key)]
    _replace(second.graph.input, [*others, *(shapes[name] for name in border)])
    _replace(second.graph.initializer, [one for one in second.graph.initializer if one.name in read])
    first = renamed(first, {name: present_name(state) for name, state in states.items()})
    second = renamed(second, {name: past_name(state) for name, state in states.items()})
    return (inferred(first, "the template's part"), inferred(second, "the frame's part")), tuple(
        states.values()
    )


def template_nodes(step: onnx.ModelProto, given: str) -> list[onnx.NodeProto]:
    """The nodes that need nothing but ``given`` and constants, and give one row for one row."""
    graph = step.graph
    rows = {
        value.name
        for value in graph.value_info
        if [dim.dim_value for dim in value.type.tensor_type.shape.dim][:1] == [1]
    }
    known, fixed = {given}, {tensor.name for tensor in graph.initializer} | {""}
    found = []
    for node in graph.node:
        inputs = reads(node) - fixed
        if inputs and inputs <= known and rows.issuperset(node.output):
            found.append(node)
            known |= set(node.output)
    return found


def associate(step: onnx.ModelProto, known: set[str]) -> int:
    """Lets kernels of the template, ``known``, take in the 1 x 1 convolution of what they are matched with.

    In place; returns how often.
    """
    view, count = GraphView(step), 0
    for matched in view.nodes("MatMul"):
        flat = view.maker(matched.input[1], "Reshape")
        conv = None if flat is None else view.maker(flat.input[0], "Conv")
        if matched.input[0] not in known or flat is None or conv is None:
            continue
        if view.only_user(conv, "Reshape") is None or view.only_user(flat, "MatMul") is None:
            continue
        line, seen, rows = map_of(view, conv), view.shape(conv.output[0]), view.shape(flat.output[0])
        if line is None or len(rows) != 3 or rows[:2] != seen[:2]:  # as many cells, then, in their order
            continue
        weight, offset = (one.astype(np.float32) for one in line)
        base = matched.output[0]
        shape = np.array([0, weight.shape[1], -1], np.int64)
        nodes = [
            helper.make_node("MatMul", [matched.input[0], view.constant(weight)], [f"{base}/kernel"]),
            helper.make_node(
                "MatMul", [matched.input[0], view.constant(offset[:, None])], [f"{base}/offset"]
            ),
            helper.make_node("Reshape", [conv.input[0], view.constant(shape)], [f"{base}/map"]),
            helper.make_node("MatMul", [f"{base}/kernel", f"{base}/map"], [f"{base}/matched"]),
            helper.make_node("Add", [f"{base}/matched", f"{base}/offset"], [base]),
        ]
        view.replace([conv, flat, matched], nodes)
        count += 1
    view.finish()
    return count


def _replace(field: object, values: Iterable[object]) -> None:
    """Other entries for a repeated field."""
    copies = list(values)
    del field[:]  # type: ignore[attr-defined]
    field.extend(copies)  # type: ignore[attr-defined]
