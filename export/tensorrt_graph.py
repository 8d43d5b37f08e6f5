"""Graphs of the dialect "plugin" as TensorRT's parser wants them, with a check of the next state inside."""

from __future__ import annotations

from pathlib import Path

import onnx
from onnx import helper

from ..bundles import FunctionSpec, ModelSpec, TensorSpec, past_name, present_name
from ..errors import ExportError
from ..plugins.tensorrt_registry import plugin_modules
from ..plugins.tensorrt_rules import NAMESPACE
from ..runtimes.tensorrt_plan import SOUND

VERSION = "1"


def prepare_graph(path: Path, spec: ModelSpec, function: FunctionSpec) -> dict[str, int]:
    """Rewrites a graph in place; returns how many nodes of each plugin it has.

    Open dimensions of inputs and outputs get the names that the spec has for them, the same in every graph.
    Samplers lose their mode, see ``plain_samplers``. Plugin nodes get what the parser looks them up by.
    A function that writes state gets the output ``SOUND``: for each row the sum of magnitudes of all next
    states, which is finite where they are; so a broken state is found without copying it to the host.

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
        rule = rules[node.op_type]
        values = {one.name: helper.get_attribute_value(one) for one in node.attribute}
        del node.attribute[:]
        for name in (*rule.attributes, *rule.numbers):  # the parser gives a plugin lists of numbers
            node.attribute.append(helper.make_attribute(name, [values[name]]))
        for name, text in (("plugin_namespace", NAMESPACE), ("plugin_version", VERSION)):
            node.attribute.append(helper.make_attribute(name, text))
    name_dims(model.graph, spec, function)
    plain_samplers(model.graph)
    if function.writes_state:
        add_sound(model.graph, [present_name(key) for key in function.writes_state])
    onnx.save(model, path)
    return found


def name_dims(graph: onnx.GraphProto, spec: ModelSpec, function: FunctionSpec) -> None:
    """Names the open dimensions of inputs and outputs as the spec does, such as "batch" and "height/8".

    The parser takes dimensions of one name for one size, and the exporter's own names differ from graph to
    graph. In place.
    """
    states = {tensor.name: tensor for tensor in spec.state}
    known: dict[str, TensorSpec] = {tensor.name: tensor for tensor in (*function.inputs, *function.outputs)}
    known |= {past_name(key): states[key] for key in function.reads_state}
    known |= {present_name(key): states[key] for key in function.writes_state}
    for value in (*graph.input, *graph.output):
        for dim, size in zip(value.type.tensor_type.shape.dim, known[value.name].shape, strict=True):
            if isinstance(size, str):
                dim.dim_param = size


def plain_samplers(graph: onnx.GraphProto) -> None:
    """Leaves a bilinear ``GridSample`` its default mode, which is the same. In place.

    ONNX's opset 20 renamed "bilinear" to "linear", and TensorRT's parser (read: 10.1 to 11.1) does not know
    the new name and samples the nearest pixel, silently. What is left out it takes for bilinear.
    Raises ExportError for another mode.
    """
    for node in graph.node:
        if node.op_type != "GridSample" or node.domain not in ("", "ai.onnx"):
            continue
        for place, attribute in enumerate(node.attribute):
            if attribute.name == "mode":
                if attribute.s not in (b"linear", b"bilinear"):
                    raise ExportError(f"{node.name} samples by {attribute.s!r}", "sample bilinearly")
                del node.attribute[place]
                break


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
