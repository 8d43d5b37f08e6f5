"""Graphs of the dialect "plugin" as TensorRT's parser wants them, with a check of the next state inside."""

from __future__ import annotations

from pathlib import Path

import onnx
from onnx import helper

from ..bundles import FunctionSpec, present_name
from ..errors import ExportError
from ..plugins.tensorrt_registry import plugin_modules
from ..plugins.tensorrt_rules import NAMESPACE
from ..runtimes.tensorrt_plan import SOUND

VERSION = "1"


def prepare_graph(path: Path, function: FunctionSpec) -> dict[str, int]:
    """Rewrites a graph in place; returns how many nodes of each plugin it has.

    Plugin nodes get what the parser looks them up by. A function that writes state gets the output ``SOUND``:
    for each row the sum of magnitudes of all next states, which is finite where they are; so a broken state
    is found without copying it to the host.

    Raises ExportError for an operator of ours that has no plugin.
    """
    model = onnx.load(path)
    rules = {plugin.RULES.name: plugin.RULES for plugin in plugin_modules()}
    found: dict[str, int] = {}
    for node in model.graph.node:
        if node.domain != NAMESPACE:
            continue
        if node.op_type not in rules:
            raise ExportError(
                f"{path.name} uses {node.op_type}, which has no TensorRT plugin ({', '.join(rules)} have)",
                "export it with --to onnx, or build the model of operators that have one",
            )
        found[node.op_type] = found.get(node.op_type, 0) + 1
        values = {attribute.name: attribute.i for attribute in node.attribute}
        del node.attribute[:]
        for name in rules[node.op_type].attributes:  # the parser gives a plugin lists of numbers
            node.attribute.append(helper.make_attribute(name, [values[name]]))
        for name, text in (("plugin_namespace", NAMESPACE), ("plugin_version", VERSION)):
            node.attribute.append(helper.make_attribute(name, text))
    if function.writes_state:
        add_sound(model.graph, [present_name(key) for key in function.writes_state])
    onnx.save(model, path)
    return found


def add_sound(graph: onnx.GraphProto, states: list[str]) -> None:
    """Adds the output ``SOUND`` over some outputs of a graph, in place."""
    ranks = {value.name: len(value.type.tensor_type.shape.dim) for value in graph.output}
    sums = []
    for state in states:
        axes = f"{SOUND}/{state}/axes"
        graph.initializer.append(
            helper.make_tensor(axes, onnx.TensorProto.INT64, [ranks[state] - 1], list(range(1, ranks[state])))
        )
        size, total = f"{SOUND}/{state}/size", f"{SOUND}/{state}"
        graph.node.append(helper.make_node("Abs", [state], [size], name=size))
        graph.node.append(helper.make_node("ReduceSum", [size, axes], [total], name=total, keepdims=0))
        sums.append(total)
    graph.node.append(helper.make_node("Sum", sums, [SOUND], name=SOUND))
    graph.output.append(helper.make_tensor_value_info(SOUND, onnx.TensorProto.FLOAT, ["batch"]))
