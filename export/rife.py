"""RIFE 4.x of others as a bundle: from its authors' weights, or from an ONNX file of the whole network.

Weights (``flownet.pkl``) become the model of ``models.rife``: features are encoded once a frame and kept as
state. An ONNX file, as vs-mlrt hands them out, takes both frames and the time as planes and encodes anew each
time; it becomes ``interpolate`` as it stands, and what is kept of a frame is the frame. Either way the bundle
is compared with what it came from before anything is written.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
from onnx import TensorProto, compose, helper, numpy_helper

from ..bundles import JSON, Bundle, FunctionSpec, ModelSpec, TensorSpec, past_name, present_name, write_bundle
from ..errors import ExportError, OptionError, ParityError
from ..models.rife.weights import open_rife
from ..runtimes import open_runtime
from .bundle import bundle_model
from .onnx_surgery import first_line, load_graph, renamed
from .proof import Tick

PLANES = {7: "both frames and the time", 11: "the same, and where each pixel is"}
"""Channels of the input of an ONNX file, and what they are."""
MULTIPLE = {7: 1, 11: 64}
"""What sides must be a multiple of, unless it is said: files of 7 planes pad frames themselves."""
TOLERANCE = 1e-5  # of what the bundle makes to what the file makes, in shares of white
OPSET = 17
ARCHITECTURE = "rife_onnx"

Array = npt.NDArray[np.float32]


def adopt_rife(
    path: Path,
    out: Path,
    *,
    name: str,
    provenance: Mapping[str, JSON],
    multiple: int | None = None,
    frames: int = 12,
    say: Callable[[str], None] = lambda text: None,
    tick: Tick = lambda frame: None,
) -> Bundle:
    """Writes a bundle of a RIFE network.

    Args:
        path: ``flownet.pkl``, the folder it lies in, or an ONNX file.
        out: the bundle's folder.
        name: of the model.
        provenance: where the file comes from and under what licence.
        multiple: what the sides of frames must be a multiple of; only for ONNX files, which do not say it.
        frames: over which graphs are compared with PyTorch.
        say, tick: told of each stage, and of each of these frames.

    Raises:
        DataError, ExportError: the file cannot be read, or is of no RIFE that is known here.
        OptionError: ``multiple`` is given for weights, which tell it.
        ParityError: the bundle differs; nothing is written.
    """
    if path.suffix.lower() == ".onnx":
        return _adopt_graph(path, out, name, provenance, multiple)
    if multiple is not None:
        raise OptionError(f"multiple is {multiple}, and weights tell it themselves", "leave it out")
    model = open_rife(path)
    bundle, _ = bundle_model(
        model, model.spec(name), out, provenance=provenance, frames=frames, say=say, tick=tick
    )
    return bundle


def _adopt_graph(
    path: Path, out: Path, name: str, provenance: Mapping[str, JSON], multiple: int | None
) -> Bundle:
    whole = load_graph(path, inputs=1, outputs=1)
    dims = whole.graph.input[0].type.tensor_type.shape.dim
    planes = dims[1].dim_value if len(dims) == 4 else 0
    if planes not in PLANES:
        known = "; ".join(f"{count} planes: {what}" for count, what in PLANES.items())
        raise ExportError(f"{path} takes {planes} planes, which is no RIFE as vs-mlrt has it", known)
    spec = graph_spec(name, multiple or MULTIPLE[planes])
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        files = {f"{key}.onnx": folder / f"{key}.onnx" for key in spec.functions}
        onnx.save(kept_graph(whole.ir_version), files["encode.onnx"])
        onnx.save(made_graph(whole, planes), files["interpolate.onnx"])
        trial = write_bundle(folder / "trial", spec, dict(files), provenance={}, metrics={}, parity={})
        parity = compare(trial, path, planes)
        return write_bundle(
            out, spec, dict(files), provenance=provenance, metrics={}, parity={"onnx": parity}
        )


def graph_spec(name: str, multiple: int) -> ModelSpec:
    """What a runtime must know of a network that encodes frames itself."""
    image = TensorSpec("image", "float32", ("batch", 3, "height", "width"))
    state = tuple(TensorSpec(f"{owner}.image", "float32", image.shape) for owner in ("first", "second"))
    both = tuple(one.name for one in state)
    t = TensorSpec("t", "float32", ("batch", 1))
    return ModelSpec(
        name=name,
        task="interpolation",
        architecture=ARCHITECTURE,
        config={},
        preprocess={"multiple": multiple},
        functions={
            "encode": FunctionSpec((image,), (), (), ("second.image",)),
            "interpolate": FunctionSpec((t,), (image,), both, ()),
        },
        state=state,
    )


def kept_graph(ir_version: int) -> onnx.ModelProto:
    """``encode``: the frame as it is."""
    shape: list[str | int | None] = ["batch", 3, "height", "width"]
    given, kept = "image", present_name("second.image")
    graph = helper.make_graph(
        [helper.make_node("Identity", [given], [kept])],
        "encode",
        [helper.make_tensor_value_info(given, TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(kept, TensorProto.FLOAT, shape)],
    )
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=min(ir_version, 10)
    )


def made_graph(whole: onnx.ModelProto, planes: int) -> onnx.ModelProto:
    """``interpolate``: what makes the planes of frames and time, and the network as it stands behind it."""
    opset = next(one.version for one in whole.opset_import if one.domain in ("", "ai.onnx"))
    first, second = past_name("first.image"), past_name("second.image")
    values = {
        "two": np.float32(2), "one": np.float32(1), "none": np.float32(0), "nil": np.int64(0),
        "unit": np.int64(1), "at": np.array([0], np.int64), "past": np.array([1], np.int64),
        "channel": np.array([1], np.int64), "sides": np.array([2, 3], np.int64),
        "across": np.array([1, 1, 1, -1], np.int64), "down": np.array([1, 1, -1, 1], np.int64),
    }  # fmt: skip

    def node(kind: str, inputs: list[str], output: str, **attributes: Any) -> onnx.NodeProto:
        return helper.make_node(kind, inputs, [output], **attributes)

    nodes = [
        node("Slice", [first, "at", "past", "channel"], "red"),
        node("Mul", ["red", "none"], "still"),
        node("Reshape", ["t", "down"], "when"),
        node("Add", ["still", "when"], "time"),
    ]
    shown = [first, second, "time"]
    if planes == 11:
        nodes.append(node("Shape", [first], "shape"))
        for place, (axis, way) in enumerate((("width", "across"), ("height", "down"))):
            values[f"axis.{axis}"] = np.int64(3 - place)
            nodes += [
                node("Gather", ["shape", f"axis.{axis}"], axis),
                node("Range", ["nil", axis, "unit"], f"{axis}.steps"),
                node("Cast", [f"{axis}.steps"], f"{axis}.places", to=TensorProto.FLOAT),
                node("Sub", [axis, "unit"], f"{axis}.last"),
                node("Cast", [f"{axis}.last"], f"{axis}.span", to=TensorProto.FLOAT),
                node("Div", ["two", f"{axis}.span"], f"{axis}.share"),
                node("Mul", [f"{axis}.places", f"{axis}.share"], f"{axis}.scaled"),
                node("Sub", [f"{axis}.scaled", "one"], f"{axis}.centred"),
                node("Reshape", [f"{axis}.centred", way], f"{axis}.row"),
                node("Add", ["still", f"{axis}.row"], f"{axis}.grid"),
                node("Add", ["still", f"{axis}.share"], f"{axis}.times"),
            ]
        shown += ["width.grid", "height.grid", "width.times", "height.times"]
    nodes.append(node("Concat", shown, "planes", axis=1))
    shape: list[str | int | None] = ["batch", 3, "height", "width"]
    inputs = [helper.make_tensor_value_info("t", TensorProto.FLOAT, ["batch", 1])]
    inputs += [helper.make_tensor_value_info(key, TensorProto.FLOAT, shape) for key in (first, second)]
    graph = helper.make_graph(
        nodes,
        "planes",
        inputs,
        [helper.make_tensor_value_info("planes", TensorProto.FLOAT, ["batch", planes, "height", "width"])],
        [numpy_helper.from_array(np.asarray(value), key) for key, value in values.items()],
    )
    before = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=whole.ir_version
    )
    behind = compose.add_prefix(whole, "network/")
    try:
        merged = compose.merge_models(before, behind, io_map=[("planes", behind.graph.input[0].name)])
    except ValueError as error:
        raise ExportError(
            f"the network cannot be joined with its inputs ({first_line(error)})", "report the file"
        ) from error
    merged = renamed(merged, {merged.graph.output[0].name: "image"})
    for found, dim in zip(merged.graph.output[0].type.tensor_type.shape.dim, shape, strict=True):
        found.Clear()
        if isinstance(dim, int):
            found.dim_value = dim
        else:
            found.dim_param = str(dim)
    return merged


def compare(bundle: Bundle, path: Path, planes: int) -> dict[str, JSON]:
    """What the bundle makes beside what the file makes of planes laid out by hand. Raises ParityError."""
    rng = np.random.default_rng(5)
    multiple = bundle.spec.preprocess["multiple"]
    assert isinstance(multiple, int)
    height, width = (max(multiple, 64) * times for times in (1, 2))
    first, second = (rng.random((1, 3, height, width)).astype(np.float32) for _ in range(2))
    runtime = open_runtime(bundle, "onnx", device="cpu", threads=1)
    worst = 0.0
    try:
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        for t in (0.5, 0.25):
            feed = {session.get_inputs()[0].name: planes_of(first, second, t, planes)}
            (expected,) = session.run(None, feed)
            _, ones = runtime.call("encode", {"image": first}, None)
            _, others = runtime.call("encode", {"image": second}, None)
            assert ones is not None
            assert others is not None
            state = {"first.image": ones["second.image"], "second.image": others["second.image"]}
            outputs, _ = runtime.call("interpolate", {"t": np.array([[t]], np.float32)}, state)
            worst = max(worst, float(np.abs(outputs["image"] - expected).max()))
    except onnxruntime.capi.onnxruntime_pybind11_state.Fail as error:
        raise ExportError(f"{path} cannot be run ({first_line(error)})", "report the file") from error
    finally:
        runtime.close()
    if not worst <= TOLERANCE:
        raise ParityError(
            f"the bundle makes other frames than the file (by {worst:.1e} of white)", "no bundle was written"
        )
    return {"against": "the file", "max_rel": worst, "tolerance": TOLERANCE, "passed": True}


def planes_of(first: Array, second: Array, t: float, planes: int) -> Array:
    """What a file is fed, by the words of ``PLANES``: (1, planes, H, W)."""
    height, width = first.shape[2:]

    def plane(values: Array | float) -> Array:
        return np.broadcast_to(np.asarray(values, np.float32), (1, 1, height, width))

    found = [first, second, plane(t)]
    if planes == 11:
        across = np.arange(width, dtype=np.float32) * np.float32(2 / (width - 1)) - 1
        down = np.arange(height, dtype=np.float32)[:, None] * np.float32(2 / (height - 1)) - 1
        found += [plane(across), plane(down), plane(2 / (width - 1)), plane(2 / (height - 1))]
    return np.concatenate(found, axis=1)
