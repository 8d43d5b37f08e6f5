"""Cutting and joining ONNX graphs that somebody else exported: sizes, names, batch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
from onnx import compose

from ..errors import ExportError

BATCH_NAME = "batch"


def read_graph(path: Path) -> onnx.ModelProto:
    """Reads and checks a file, with the data that it keeps in others. Raises ExportError."""
    try:
        onnx.checker.check_model(str(path))  # by its path, so that no size is too large
        model = onnx.load(path)
    except Exception as error:  # onnx, protobuf and the file system each raise their own
        raise ExportError(
            f"{path} cannot be read as ONNX ({first_line(error)})", "give an .onnx file"
        ) from error
    constants = {tensor.name for tensor in model.graph.initializer}  # old files list them as inputs too
    for value in [value for value in model.graph.input if value.name in constants]:
        model.graph.input.remove(value)
    return model


def load_graph(path: Path, *, inputs: int, outputs: int) -> onnx.ModelProto:
    """Reads and checks a graph. Raises ExportError unless it has so many inputs and outputs."""
    model = read_graph(path)
    found = len(model.graph.input), len(model.graph.output)
    if found != (inputs, outputs):
        raise ExportError(
            f"{path} has {found[0]} inputs and {found[1]} outputs; {inputs} and {outputs} are needed",
            "give the backbone (one in, one out) and the head (two in, two out)",
        )
    return model


def copy_of(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same model, to be changed."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    return copy


def resized(model: onnx.ModelProto, size: int) -> onnx.ModelProto:
    """A copy whose image input is (1, 3, size, size), with the shapes that follow. Raises ExportError."""
    copy = copy_of(model)
    shape = copy.graph.input[0].type.tensor_type.shape.dim
    if len(shape) != 4:
        raise ExportError(
            f"the backbone takes {len(shape)} dimensions",
            "give one that takes an image (1, 3, height, width)",
        )
    for axis, value in enumerate((1, 3, size, size)):
        shape[axis].dim_value = value
    return inferred(copy, f"a backbone on {size} x {size} pixels")


def inferred(model: onnx.ModelProto, what: str) -> onnx.ModelProto:
    """The model with shapes inferred anew from its inputs; ``what`` names it in an ExportError."""
    del model.graph.value_info[:]
    for value in model.graph.output:
        value.type.tensor_type.ClearField("shape")
    try:
        return onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    except onnx.shape_inference.InferenceError as error:
        raise ExportError(
            f"the shapes of {what} do not fit ({first_line(error)})", "give other sizes"
        ) from error


def with_constants_inside(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy whose constants are all initializers, none of them made by a node."""
    copy = copy_of(model)
    made = [
        node for node in copy.graph.node if node.op_type == "Constant" and node.attribute[0].name == "value"
    ]
    for node in made:
        tensor = copy.graph.initializer.add()
        tensor.CopyFrom(node.attribute[0].t)
        tensor.name = node.output[0]
        copy.graph.node.remove(node)
    return copy


def joined(eyes: onnx.ModelProto, brain: onnx.ModelProto) -> onnx.ModelProto:
    """One graph of a backbone and the head that reads it: the head's second input is the backbone's output.

    The values keep their names behind ``backbone/`` and ``head/``. Raises ExportError when they do not fit.
    """
    version = max(eyes.ir_version, brain.ir_version)
    eyes, brain = compose.add_prefix(eyes, "backbone/"), compose.add_prefix(brain, "head/")
    eyes.ir_version = brain.ir_version = version
    pair = (eyes.graph.output[0].name, brain.graph.input[1].name)
    try:
        return compose.merge_models(eyes, brain, io_map=[pair])
    except ValueError as error:
        raise ExportError(
            f"backbone and head cannot be joined ({first_line(error)})",
            "export both with the same opset; the head's second input takes the backbone's output",
        ) from error


def renamed(model: onnx.ModelProto, names: Mapping[str, str]) -> onnx.ModelProto:
    """A copy with some values renamed everywhere, in the branches and bodies of its nodes too."""
    copy = copy_of(model)
    graphs = [copy.graph]
    while graphs:
        graph = graphs.pop()
        for values in (graph.input, graph.output, graph.value_info, graph.initializer):
            for value in values:
                value.name = names.get(value.name, value.name)
        for node in graph.node:
            node.input[:] = [names.get(key, key) for key in node.input]
            node.output[:] = [names.get(key, key) for key in node.output]
            for attribute in node.attribute:
                graphs += [*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])]
    return copy


def refitted(brain: onnx.ModelProto, side: int) -> onnx.ModelProto:
    """A copy of a head for search features of another side than its file has: (1, C, side, side).

    Its convolutions slide, so every square map that follows from them grows or shrinks by as many cells; what
    a Reshape says of them is changed with it. A head that says nothing of their size stays as it is.
    """
    copy = inferred(with_constants_inside(brain), "the head")
    given = copy.graph.input[1].type.tensor_type.shape.dim
    before = given[-1].dim_value
    if not before or before == side:
        return copy
    for axis in (2, 3):
        given[axis].dim_value = side
    sizes = {
        value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in copy.graph.value_info
    }
    constants = {tensor.name: tensor for tensor in copy.graph.initializer}
    seen = {copy.graph.input[1].name}
    for index, node in enumerate(copy.graph.node):
        if seen.isdisjoint(node.input):
            continue
        seen |= set(node.output)
        if node.op_type == "Reshape" and node.input[1] in constants:
            shape = onnx.numpy_helper.to_array(constants[node.input[1]])
            squares = [
                one[-1]
                for one in (sizes.get(name, []) for name in (node.input[0], node.output[0]))
                if len(one) == 4 and one[-1] == one[-2]
            ]
            other = {square: square + side - before for square in squares}
            other |= {square**2: (square + side - before) ** 2 for square in squares}
            new = np.array([*shape[:2], *(other.get(int(one), int(one)) for one in shape[2:])], np.int64)
            node.input[1] = f"refitted/shape_{index}"
            copy.graph.initializer.append(onnx.numpy_helper.from_array(new, node.input[1]))
    return inferred(copy, f"a head on features of {side} x {side}")


def batched(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy of a graph for one row that takes any number of them: the first dimension of every input and
    output is left open. Whether it computes each row on its own is for a comparison to say.
    """
    copy = copy_of(model)
    del copy.graph.value_info[:]
    for value in (*copy.graph.input, *copy.graph.output):
        value.type.tensor_type.shape.dim[0].dim_param = BATCH_NAME
    for node in copy.graph.node:
        node.ClearField("doc_string")  # an exporter's traces: its paths, and most of the file
    open_reshapes(copy.graph)
    return copy


def open_reshapes(graph: onnx.GraphProto) -> None:
    """Lets every Reshape to (1, ...) keep the first dimension that it finds. In place."""
    shapes = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            shapes[node.output[0]] = node.attribute[0].t
    for index, node in enumerate(graph.node):
        if node.op_type != "Reshape" or node.input[1] not in shapes:
            continue
        shape = onnx.numpy_helper.to_array(shapes[node.input[1]]).copy()
        if shape.size and shape[0] == 1:
            shape[0] = 0  # in a Reshape: as it comes
            name = f"{BATCH_NAME}/shape_{index}"
            graph.initializer.append(onnx.numpy_helper.from_array(shape, name))
            node.input[1] = name


def output_shapes(model: onnx.ModelProto) -> dict[str, tuple[int, ...]]:
    """Shapes of the outputs without their first dimension. Raises ExportError when one is not fixed."""
    shapes = {}
    for value in model.graph.output:
        dims = tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim)[1:]
        if not dims or not all(dims):
            raise ExportError(
                f"output {value.name!r} has no fixed shape", "export the graphs with fixed sizes"
            )
        shapes[value.name] = dims
    return shapes


def first_line(error: Exception) -> str:
    """The first line of a vendor's message, or the exception's name where it has none."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
