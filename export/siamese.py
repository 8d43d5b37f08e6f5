"""A public Siamese tracker in ONNX (a backbone and a head, as NanoTrack v2) as a bundle of this engine.

The backbone's features of the template become the session's state; ``step`` is the backbone on the search
crop with the head behind it. No new runtime, no new engine: two graphs, a manifest and a decode choice.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import onnx
from onnx import compose

from ..bundles import JSON, Bundle, FunctionSpec, ModelSpec, TensorSpec, past_name, present_name, write_bundle
from ..errors import ExportError

KEY = "template.features"

# Crop, stride and thresholds of NanoTrack v2 as OpenCV's runner has them; the filter stays on the safe side.
NANOTRACK: Mapping[str, JSON] = MappingProxyType(
    {
        "context": 0.5,
        "padding": "mean",
        "normalisation": "none",
        "decode": "points",
        "stride": 16,
        "relative_std": 0.05,
    }
)
NANOTRACK_OPTIONS: Mapping[str, JSON] = MappingProxyType(
    {
        "window": 0.455,
        "change": 0.055,
        "size_floor": 0.0,
        "size_ceiling": 0.37,
        "sure": 0.5,
        "seen": 0.1,
        "override": 0.1,
        "growth": 1.0,
    }
)


def adopt_siamese(
    backbone: Path,
    head: Path,
    out: Path,
    *,
    name: str,
    provenance: Mapping[str, Any],
    template_size: int = 127,
    search_size: int = 255,
    preprocess: Mapping[str, Any] | None = None,
    options: Mapping[str, Any] | None = None,
) -> Bundle:
    """Writes a bundle from two ONNX files.

    Args:
        backbone: (1, 3, S, S) RGB → (1, C, G, G), for any S.
        head: template features and search features → class logits (1, 2, G, G) and side distances
            (1, 4, G, G), in that order of inputs and outputs.
        out: the bundle's folder.
        name: of the model.
        provenance: where the files come from and under what licence.
        template_size, search_size: pixels.
        preprocess, options: see ``Cropping``, ``PointDecoder`` and ``TrackingOptions``; by default
            NanoTrack's.

    Raises:
        ExportError: a file is no ONNX graph of that shape.
    """
    eyes, brain = load_graph(backbone, inputs=1, outputs=1), load_graph(head, inputs=2, outputs=2)
    init = renamed(
        resized(eyes, template_size),
        {eyes.graph.input[0].name: "template", eyes.graph.output[0].name: present_name(KEY)},
    )
    step = search_graph(resized(eyes, search_size), brain)
    key, maps = output_shapes(init), output_shapes(step)
    state = TensorSpec(KEY, "float32", ("batch", *key[present_name(KEY)]))
    spec = ModelSpec(
        name=name,
        task="tracking",
        architecture="siamese_onnx",
        config={"template_size": template_size, "search_size": search_size},
        preprocess={
            **NANOTRACK,
            "template_size": template_size,
            "search_size": search_size,
            "template_factor": 1.0,
            "search_factor": search_size / template_size,
            **(preprocess or {}),
            "options": {**NANOTRACK_OPTIONS, **(options or {})},
        },
        functions={
            "init": FunctionSpec((image("template", template_size),), (), (), (KEY,)),
            "step": FunctionSpec(
                (image("search", search_size),),
                tuple(
                    TensorSpec(label, "float32", ("batch", *maps[label])) for label in ("classes", "sides")
                ),
                (KEY,),
                (),
            ),
        },
        state=(state,),
    )
    with tempfile.TemporaryDirectory() as temporary:
        files: dict[str, Any] = {}
        for function, graph in (("init", init), ("step", step)):
            files[f"{function}.onnx"] = Path(temporary) / f"{function}.onnx"
            onnx.save(graph, files[f"{function}.onnx"])
        return write_bundle(out, spec, files, provenance=dict(provenance), metrics={}, parity={})


def image(name: str, size: int) -> TensorSpec:
    """An RGB crop as a function's input."""
    return TensorSpec(name, "float32", ("batch", 3, size, size))


def load_graph(path: Path, *, inputs: int, outputs: int) -> onnx.ModelProto:
    """Reads and checks a graph. Raises ExportError."""
    try:
        model = onnx.load(path)
        onnx.checker.check_model(model)
    except Exception as error:  # onnx, protobuf and the file system each raise their own
        raise ExportError(
            f"{path} cannot be read as ONNX ({str(error).splitlines()[0]})", "give an .onnx file"
        ) from error
    found = len(model.graph.input), len(model.graph.output)
    if found != (inputs, outputs):
        raise ExportError(
            f"{path} has {found[0]} inputs and {found[1]} outputs; {inputs} and {outputs} are needed",
            "give the backbone (one in, one out) and the head (two in, two out)",
        )
    return model


def resized(model: onnx.ModelProto, size: int) -> onnx.ModelProto:
    """A copy whose image input is (1, 3, size, size); shapes inside are inferred anew."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    del copy.graph.value_info[:]
    shape = copy.graph.input[0].type.tensor_type.shape.dim
    for axis in (2, 3):
        shape[axis].dim_value = size
    for value in copy.graph.output:
        value.type.tensor_type.ClearField("shape")
    try:
        return onnx.shape_inference.infer_shapes(copy, strict_mode=True, data_prop=True)
    except onnx.shape_inference.InferenceError as error:
        raise ExportError(
            f"the backbone does not run on {size}x{size} pixels ({error})", "give another size"
        ) from error


def search_graph(eyes: onnx.ModelProto, brain: onnx.ModelProto) -> onnx.ModelProto:
    """Backbone and head as one graph: search crop and template features in, maps out."""
    version = max(eyes.ir_version, brain.ir_version)
    eyes, brain = compose.add_prefix(eyes, "backbone/"), compose.add_prefix(brain, "head/")
    eyes.ir_version = brain.ir_version = version
    template, search = (value.name for value in brain.graph.input)
    merged = compose.merge_models(eyes, brain, io_map=[(eyes.graph.output[0].name, search)])
    classes, sides = (value.name for value in brain.graph.output)
    names = {eyes.graph.input[0].name: "search", template: past_name(KEY), classes: "classes", sides: "sides"}
    return onnx.shape_inference.infer_shapes(renamed(merged, names))


def renamed(model: onnx.ModelProto, names: Mapping[str, str]) -> onnx.ModelProto:
    """A copy with some values renamed everywhere."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    graph = copy.graph
    for values in (graph.input, graph.output, graph.value_info):
        for value in values:
            value.name = names.get(value.name, value.name)
    for node in graph.node:
        node.input[:] = [names.get(key, key) for key in node.input]
        node.output[:] = [names.get(key, key) for key in node.output]
    return copy


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
