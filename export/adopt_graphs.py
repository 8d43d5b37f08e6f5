"""The graphs and the manifest of an adopted model: its own names, states with the batch first.

States that have the batch on another axis, or none, are turned round where they come in and go out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from ..bundles import BATCH, JSON, Dim, FunctionSpec, ModelSpec, TensorSpec, past_name, present_name
from ..errors import ExportError, OptionError
from .adopt_plain import Plain, Wanted
from .adopt_shapes import Shapes
from .onnx_surgery import open_reshapes, renamed
from .shared_weights import share_weights

STEP, INIT = "step", "init"


@dataclass(frozen=True)
class StreamOptions:
    """What a user says of a file; names are the file's own.

    Attributes:
        states: outputs by the inputs that they come back to.
        initial: what states begin as: a number, or a ``.npy`` file; zeros without.
        inputs: ``frame``, ``seconds``, or a number; an input that looks like a frame is one without.
        outputs: ``picture``, ``mask`` or ``tensor``, which they are without.
        size: height and width that frames are resized to.
        view: ``range``, ``mean``, ``std`` and ``colours`` of frames, see ``engine.stream.views``.
        multiple: what sides of frames are padded to.
    """

    states: Mapping[str, str]
    initial: Mapping[str, float | Path] = field(default_factory=dict)
    inputs: Mapping[str, str | float] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)
    size: tuple[int, int] | None = None
    view: Mapping[str, JSON] = field(default_factory=dict)
    multiple: int = 1


def write_graphs(
    model: onnx.ModelProto,
    plain: Plain,
    wanted: Wanted,
    shapes: Shapes,
    options: StreamOptions,
    name: str,
    folder: Path,
    rows: int,
) -> tuple[ModelSpec, dict[str, Path | bytes]]:
    """The bundle's graphs and what they are, for any number of rows or for one."""
    folder.mkdir()
    called = {one: plain_name(one) for one in (*plain.inputs, *plain.outputs)}
    shown = [one for one in plain.outputs if one not in wanted.states.values() or one in options.outputs]
    if len({called[one] for one in (*wanted.states, *wanted.frames, *wanted.seconds, *wanted.values)}) < len(
        plain.inputs
    ) or len({called[one] for one in shown}) < len(shown):
        raise ExportError("two tensors of the file have the same name as a bundle has them", "rename one")
    tensors: dict[str, TensorSpec] = {}
    for key in (*plain.inputs, *shown):
        dims = shapes.values[key]
        value = plain.inputs.get(key) or plain.outputs[key]
        batch = BATCH if rows > 1 or key in wanted.states else 1
        if key in plain.inputs and key not in wanted.states:
            fixed = tuple(batch if dim == BATCH else dim for dim in dims)
        else:
            fixed = (batch, *(dim for dim in dims if dim != BATCH))
        tensors[key] = TensorSpec(called[key], value.dtype, fixed)
    given = [*wanted.frames, *wanted.values, *wanted.seconds]  # a frame first: it tells the rows of a batch
    states = tuple(tensors[one] for one in wanted.states)
    names = tuple(one.name for one in states)
    functions = {
        STEP: FunctionSpec(
            tuple(tensors[one] for one in given), tuple(tensors[one] for one in shown), names, names
        )
    }
    graphs = {f"{STEP}.onnx": folder / f"{STEP}.onnx"}
    onnx.save(step_graph(model, wanted, shapes, tensors, shown, rows), graphs[f"{STEP}.onnx"])
    if wanted.initial:
        if not all(tensors[one].is_sized for one in wanted.initial):
            raise OptionError(
                "states that follow the size of the frames begin as zeros", "give --size HxW, or no --initial"
            )
        begun = {tensors[one].name: first_row(shapes, one) for one in wanted.initial}
        functions[INIT] = FunctionSpec((), (), (), tuple(begun))
        graphs[f"{INIT}.onnx"] = folder / f"{INIT}.onnx"
        onnx.save(init_graph(model, begun), graphs[f"{INIT}.onnx"])
    files: dict[str, Path | bytes] = dict(graphs)
    if share_weights(graphs, folder / "weights.data"):
        files["weights.data"] = folder / "weights.data"
    preprocess = preprocess_of(wanted, shapes, options, called)
    return ModelSpec(name, "stream", "adopted_onnx", {}, preprocess, functions, states), files


def preprocess_of(
    wanted: Wanted, shapes: Shapes, options: StreamOptions, called: Mapping[str, str]
) -> dict[str, JSON]:
    """How the engine sees frames and shows outputs, see ``engine.stream.views``."""
    view: dict[str, JSON] = {"kind": "frame", **options.view}
    if shapes.multiple > 1:
        view["multiple"] = shapes.multiple
    inputs: dict[str, JSON] = {called[one]: dict(view) for one in wanted.frames}
    inputs |= {called[one]: {"kind": "seconds"} for one in wanted.seconds}
    inputs |= {called[one]: {"kind": "value", "value": value} for one, value in wanted.values.items()}
    as_seen = {key: options.view[key] for key in ("range", "colours") if key in options.view}
    outputs: dict[str, JSON] = {
        called[one]: {"kind": kind, **(as_seen if kind == "picture" else {})}
        for one, kind in options.outputs.items()
    }
    return {"inputs": inputs, "outputs": outputs}


def step_graph(
    model: onnx.ModelProto,
    wanted: Wanted,
    shapes: Shapes,
    tensors: Mapping[str, TensorSpec],
    shown: list[str],
    rows: int,
) -> onnx.ModelProto:
    """The file's graph with the bundle's names, the batch first in every state and output."""
    old = {value.name: value for value in (*model.graph.input, *model.graph.output)}
    passed = {value.name for value in model.graph.input} & {value.name for value in model.graph.output}
    names, before, after = {}, [], []
    inputs, outputs = [], []
    opset = next((one.version for one in model.opset_import if one.domain in ("", "ai.onnx")), 13)
    for key in (one.name for one in model.graph.input):
        tensor = tensors[key]
        new = past_name(tensor.name) if key in wanted.states else tensor.name
        inputs.append(_info(new, tensor, old[key]))
        place = shapes.batch.get(key)
        if key not in wanted.states or (place == 0 and key not in passed):
            names[key] = new
        else:
            before += moved(new, f"adopted/{key}", tensor, place, opset, back=True)
            names[key] = f"adopted/{key}"
    for key, new, tensor in (
        *((key, tensors[key].name, tensors[key]) for key in shown),
        *((out, present_name(tensors[key].name), tensors[key]) for key, out in wanted.states.items()),
    ):
        outputs.append(_info(new, tensor, old[key]))
        place = shapes.batch.get(key)
        if place == 0 and key not in names and key not in passed:
            names[key] = new
        else:
            source = names.setdefault(key, f"adopted/{key}")
            after += moved(source, new, tensor, place, opset, back=False)
    made = renamed(model, names)
    graph = made.graph
    del graph.input[:], graph.output[:], graph.value_info[:]
    graph.input.extend(inputs)
    graph.output.extend(outputs)
    nodes = [*before, *graph.node, *after]
    del graph.node[:]
    graph.node.extend(nodes)
    if rows > 1 and all(old[name].type.tensor_type.shape.dim[0].dim_value == 1 for name in wanted.frames):
        open_reshapes(graph)
    return made


def moved(
    source: str, target: str, tensor: TensorSpec, place: int | None, opset: int, *, back: bool
) -> list[onnx.NodeProto]:
    """Nodes that put a tensor's batch first, from the axis where it is, or ``back`` there.

    ``place`` None is a tensor without a batch.
    """
    node, name = onnx.helper.make_node, f"adopted/{target}"
    if place == 0:
        return [node("Identity", [source], [target], name)]
    if place is None:
        kind = "Squeeze" if back else "Unsqueeze"
        if opset < 13:
            return [node(kind, [source], [target], name, axes=[0])]
        axes = onnx.numpy_helper.from_array(np.array([0], np.int64))
        return [
            node("Constant", [], [f"{name}/axes"], f"{name}/axes", value=axes),
            node(kind, [source, f"{name}/axes"], [target], name),
        ]
    order = [axis for axis in range(len(tensor.shape)) if axis != place]
    first = [place, *order]
    return [node("Transpose", [source], [target], name, perm=list(np.argsort(first)) if back else first)]


def init_graph(model: onnx.ModelProto, begun: Mapping[str, np.ndarray[Any, Any]]) -> onnx.ModelProto:
    """A graph without inputs that gives what states begin as."""
    nodes, outputs = [], []
    for key, value in begun.items():
        name = present_name(key)
        nodes.append(onnx.helper.make_node("Constant", [], [name], value=onnx.numpy_helper.from_array(value)))
        kind = onnx.helper.np_dtype_to_tensor_dtype(value.dtype)
        outputs.append(onnx.helper.make_tensor_value_info(name, kind, [BATCH, *value.shape[1:]]))
    graph = onnx.helper.make_graph(nodes, INIT, [], outputs)
    return onnx.helper.make_model(
        graph, opset_imports=list(model.opset_import), ir_version=model.ir_version, producer_name="framestate"
    )


def first_row(shapes: Shapes, state: str) -> np.ndarray[Any, Any]:
    """What a state begins as, as the bundle keeps it: the batch first."""
    value, place = shapes.start[state], shapes.batch.get(state)
    return np.ascontiguousarray(value[None] if place is None else np.moveaxis(value, place, 0))


def plain_name(name: str) -> str:
    """A tensor's name as a bundle may have it: ``_`` for what is no letter, digit, dot, ``-`` or ``_``."""
    made = re.sub(r"[^A-Za-z0-9_.-]+|\.(?=\.)", "_", name)[:180]
    return made if re.match(r"[A-Za-z0-9_]", made) else f"_{made[1:]}"


def _info(name: str, tensor: TensorSpec, old: onnx.ValueInfoProto) -> onnx.ValueInfoProto:
    """How a graph declares a tensor of the bundle."""
    dims: list[Dim] = list(tensor.shape)
    return onnx.helper.make_tensor_value_info(name, old.type.tensor_type.elem_type, dims)
