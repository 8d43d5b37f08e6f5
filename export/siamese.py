"""A public Siamese tracker in ONNX (a backbone and a head, as NanoTrack v2) as a bundle of this engine.

The backbone's features of the template become the session's state; ``step`` is the backbone on the search
crop with the head behind it. No new runtime, no new engine: two graphs, a manifest and a decode choice. The
graphs are compared with the files they were made from before anything is written.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime

from ..bundles import JSON, Bundle, FunctionSpec, ModelSpec, TensorSpec, past_name, present_name, write_bundle
from ..engine import TrackingOptions
from ..errors import ExportError, ParityError, StepError
from ..runtimes import open_runtime
from .borrowed_look import LOOK, borrowed_look
from .made_kernels import open_made_kernels
from .onnx_surgery import (
    batched,
    first_line,
    inferred,
    joined,
    load_graph,
    output_shapes,
    refitted,
    renamed,
    resized,
    with_constants_inside,
)
from .quicker_graphs import MORE_RULES, quicken
from .shared_weights import share_weights
from .template_part import with_template_part

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


TOLERANCE = 1e-4  # relative, between the bundle and the files it was made from
ROWS = 2  # of the batch that is compared

Array = npt.NDArray[np.float32]


def adopt_siamese(
    backbone: Path,
    head: Path,
    out: Path,
    *,
    name: str,
    provenance: Mapping[str, JSON],
    template_size: int = 127,
    search_size: int = 255,
    near_size: int = 0,
    preprocess: Mapping[str, JSON] | None = None,
    options: Mapping[str, JSON] | None = None,
    look: Bundle | None = None,
) -> Bundle:
    """Writes a bundle from two ONNX files.

    Args:
        backbone: (1, 3, S, S) RGB 0-255 → (1, C, G, G), for any S.
        head: template features and search features → class logits (1, 2, G, G) and distances to the four
            sides (1, 4, G, G), in that order of inputs and outputs.
        out: the bundle's folder.
        name: of the model.
        provenance: where the files come from and under what licence.
        template_size, search_size: pixels.
        near_size: pixels of a smaller search crop for targets that are slow (``near_speed``); 0 is none.
        look: a bundle whose function `look` it shall have too, so that looks are compared (``look_every``).
        preprocess, options: see ``Cropping``, ``PointDecoder``, ``TrackingOptions``; NanoTrack's by default.

    Raises:
        ExportError: a file is no ONNX graph of that shape.
        ParityError: the bundle's graphs differ from the files; nothing is written.
        BundleError: ``out`` exists, or the name is not allowed.
    """
    eyes, brain = load_graph(backbone, inputs=1, outputs=1), load_graph(head, inputs=2, outputs=2)
    seeing, settings = resized(eyes, template_size), {**NANOTRACK, **(preprocess or {})}
    init = renamed(
        seeing, {seeing.graph.input[0].name: "template", seeing.graph.output[0].name: present_name(KEY)}
    )
    check_template(output_shapes(init)[present_name(KEY)], brain)
    sizes = {"step": search_size} | ({"near": near_size} if near_size else {})
    seen = {name: at_size(init, eyes, brain, size, settings["stride"]) for name, size in sizes.items()}
    first = seen["step"]  # `init` and the states are the same for every size
    parts = {"init": batched(first.init)} | {name: batched(one.step) for name, one in seen.items()}
    kept = output_shapes(first.init)
    spec = siamese_spec(
        name,
        template_size,
        search_size,
        {"init": FunctionSpec((image("template", template_size),), (), (), first.described.reads_state)}
        | {name: one.described for name, one in seen.items()},
        {key: kept[present_name(key)] for key in first.described.reads_state},
    )
    if look is not None:
        parts[LOOK], described, factor = borrowed_look(look, settings["normalisation"])
        spec = replace(
            spec,
            functions={**spec.functions, LOOK: described},
            preprocess={**spec.preprocess, "look_factor": factor},
        )
    spec = with_settings(spec, preprocess or {}, options or {})
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        graphs = {f"{function}.onnx": folder / f"{function}.onnx" for function in parts}
        for path, part in zip(graphs.values(), parts.values(), strict=True):
            onnx.save(part, path)
        files: dict[str, Path | bytes] = dict(graphs)
        if share_weights(graphs, folder / "weights.data"):
            files["weights.data"] = folder / "weights.data"
        trial = write_bundle(folder / "trial", spec, files, provenance={}, metrics={}, parity={})
        parity = compare(trial, seeing, {name: one.original for name, one in seen.items()})
        return write_bundle(out, spec, files, provenance=provenance, metrics={}, parity={"onnx": parity})


@dataclass(frozen=True)
class Sight:
    """A tracker for search crops of one size: graphs for one row.

    Attributes:
        init, step: the bundle's.
        described: what the latter takes and gives.
        original: the backbone, and the head for such features.
    """

    init: onnx.ModelProto
    step: onnx.ModelProto
    described: FunctionSpec
    original: tuple[onnx.ModelProto, onnx.ModelProto]


def at_size(
    init: onnx.ModelProto, eyes: onnx.ModelProto, brain: onnx.ModelProto, size: int, stride: Any
) -> Sight:
    """The tracker for crops of that size; ``init`` gives the template's features. Raises ExportError."""
    check_size(eyes, size, stride)
    searching = resized(eyes, size)
    fitting = refitted(brain, output_shapes(searching)[searching.graph.output[0].name][-1])
    step = search_graph(searching, fitting)
    outputs = maps_of(output_shapes(step))
    open_made_kernels(step)
    (made, step), states = with_template_part(init, inferred(step, "backbone and head together"), KEY)
    for graph in (made, step):
        quicken(graph, MORE_RULES)
    described = FunctionSpec((image("search", size),), outputs, states, ())
    return Sight(made, step, described, (searching, fitting))


def check_size(eyes: onnx.ModelProto, size: int, stride: Any) -> None:
    """Raises ExportError where a search crop of another size than the file's has points half a cell away."""
    made_for = eyes.graph.input[0].type.tensor_type.shape.dim[-1].dim_value
    if made_for and (size - made_for) % (2 * stride):
        raise ExportError(
            f"a search crop of {size} pixels moves the points of files for {made_for} by half a cell",
            f"choose {made_for}, or a multiple of {2 * stride} more or less",
        )


def check_template(features: tuple[int, ...], brain: onnx.ModelProto) -> None:
    """Raises ExportError unless the head takes such features of a template, (C, G, G)."""
    taken = tuple(dim.dim_value for dim in brain.graph.input[0].type.tensor_type.shape.dim)[1:]
    if any(side and side != given for side, given in zip(taken, features, strict=False)):
        raise ExportError(
            f"backbone and head together do not fit: features of the template are {features}, not {taken}",
            "give files and a template size that belong together",
        )


def search_graph(eyes: onnx.ModelProto, brain: onnx.ModelProto) -> onnx.ModelProto:
    """Backbone and head as one graph: search crop and template features in, maps out."""
    merged = with_constants_inside(joined(eyes, brain))
    head_inputs = [value.name for value in merged.graph.input if value.name.startswith("head/")]
    image = next(value.name for value in merged.graph.input if value.name.startswith("backbone/"))
    classes, sides = (f"head/{value.name}" for value in brain.graph.output)
    names = {image: "search", head_inputs[0]: past_name(KEY), classes: "classes", sides: "sides"}
    return inferred(renamed(merged, names), "backbone and head together")


def maps_of(shapes: Mapping[str, tuple[int, ...]]) -> tuple[TensorSpec, ...]:
    """A head's outputs, of shapes without the batch. Raises ExportError for others."""
    outputs = tuple(TensorSpec(label, "float32", ("batch", *shapes[label])) for label in ("classes", "sides"))
    for tensor, depth in zip(outputs, (2, 4), strict=True):
        if len(tensor.shape) != 4 or tensor.shape[1] != depth or tensor.shape[2] != tensor.shape[3]:
            raise ExportError(
                f"the head's output {tensor.name!r} has shape {tensor.shape}",
                f"it must be (batch, {depth}, G, G): class logits first, then distances to the sides",
            )
    return outputs


def siamese_spec(
    name: str,
    template_size: int,
    search_size: int,
    functions: Mapping[str, FunctionSpec],
    state: Mapping[str, tuple[int, ...]],
) -> ModelSpec:
    """What the model is, from its functions and the shapes of its states, each without the batch."""
    return ModelSpec(
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
            "options": dict(NANOTRACK_OPTIONS),
        },
        functions=dict(functions),
        state=tuple(TensorSpec(key, "float32", ("batch", *shape)) for key, shape in state.items()),
    )


def with_settings(spec: ModelSpec, preprocess: Mapping[str, JSON], options: Mapping[str, JSON]) -> ModelSpec:
    """The same model with other settings of crops and tracking. Raises OptionError for one there is not."""
    changed = replace(
        spec,
        preprocess={
            **spec.preprocess,
            **preprocess,
            "options": {**NANOTRACK_OPTIONS, **options},
        },
    )
    TrackingOptions.from_spec(changed)
    return changed


def image(name: str, size: int) -> TensorSpec:
    """An RGB crop as a function's input."""
    return TensorSpec(name, "float32", ("batch", 3, size, size))


def compare(
    bundle: Bundle, seeing: onnx.ModelProto, originals: Mapping[str, tuple[onnx.ModelProto, onnx.ModelProto]]
) -> dict[str, JSON]:
    """Runs a batch through the bundle, and its rows one by one through the graphs it was made from: by
    function, a backbone and a head.

    Returns what the manifest says of it. Raises ParityError beyond the tolerance.
    """
    rng = np.random.default_rng(0)
    crops = {
        name: rng.integers(0, 256, bundle.spec.function(name).inputs[0].concrete(ROWS)).astype(np.float32)
        for name in ("init", *originals)
    }
    runtime = open_runtime(bundle, "onnx", device="cpu", threads=1)
    try:
        _, state = runtime.call("init", {"template": crops["init"]}, None)
        found = {name: runtime.call(name, {"search": crops[name]}, state)[0] for name in originals}
    except StepError as error:
        raise ExportError(
            f"backbone and head together cannot run a batch of {ROWS} ({error.problem})",
            "give files and sizes that belong together, or export the files with a dynamic batch",
        ) from error
    finally:
        runtime.close()
    worst = largest = 0.0
    for row in range(ROWS):
        (key,) = run(seeing, [crops["init"][row : row + 1]])
        for name, (searching, brain) in originals.items():
            (seen,) = run(searching, [crops[name][row : row + 1]])
            for expected, label in zip(run(brain, [key, seen]), ("classes", "sides"), strict=True):
                difference = float(np.abs(found[name][label][row : row + 1] - expected).max())
                largest = max(largest, difference)
                worst = max(worst, difference / float(np.abs(expected).max()))
    if not worst <= TOLERANCE:
        raise ParityError(
            f"the bundle's graphs differ from the files by {worst:.1e} (relative) in a batch of {ROWS}; "
            f"the tolerance is {TOLERANCE:.0e}",
            "no bundle was written; the files mix the rows of a batch, export them with a dynamic batch",
        )
    return {
        "against": "the original files", "frames": ROWS, "rows": ROWS, "max_abs": largest, "max_rel": worst,
        "tolerance": TOLERANCE, "passed": True,
    }  # fmt: skip


def run(model: onnx.ModelProto, inputs: list[Array]) -> list[Array]:
    """A graph's outputs on one CPU thread. Raises ExportError when it cannot be run."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
        names = [value.name for value in session.get_inputs()]
        return [np.asarray(result) for result in session.run(None, dict(zip(names, inputs, strict=True)))]
    except Exception as error:  # ONNX Runtime raises a different class for each of its status codes
        raise ExportError(
            f"an original file cannot be run ({first_line(error)})", "check the files"
        ) from error
