"""Where the weights of a bundle lie: equal tensors of different functions once, and halves as halves.

Weights that halves hold exactly, as those that were published as halves, are stored so in
``weights.safetensors``, and graphs read them there and cast them, once, when they are opened: no number
changes, and they lie in the bundle once, in half of the bytes. All others lie in one file beside the graphs.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper
from onnx.external_data_helper import set_external_data
from safetensors.numpy import save

from ..bundles.tensors_file import read_header

Place = tuple[str, int, int]
"""A file, and the first byte and number of bytes in it."""

SMALLEST = 1024  # bytes; smaller tensors stay in their graph, where shape inference wants them
ALIGNMENT = 64  # bytes; lets ONNX Runtime map the file
HALF = "as_float"
"""What the name of a weight that was cast ends in."""


def stored(weights: Mapping[str, npt.NDArray[Any]]) -> bytes:
    """Weights as ``weights.safetensors``: those that halves hold exactly as halves."""
    return save({name: as_halves(value) for name, value in weights.items()})


def as_halves(value: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A large float32 tensor as halves, where these hold it exactly; else as it is."""
    if value.dtype != np.float32 or value.nbytes < SMALLEST:
        return value
    with np.errstate(over="ignore"):
        halves = value.astype(np.float16)
    return halves if np.array_equal(halves.astype(np.float32), value) else value


def share_weights(graphs: Mapping[str, Path], data: Path, weights: Path | None = None) -> bool:
    """Moves the large tensors of some graphs into ``data`` (beside them), and points the graphs at it.

    Returns whether there were any; without, there is no such file.

    Args:
        graphs: ONNX files with their weights inside, rewritten in place.
        data: the new file, in the graphs' folder.
        weights: what ``stored`` gave, a file in the same folder: halves that lie in it are read from there.
    """
    halves = {} if weights is None else halves_in(weights)
    places: dict[str, Place] = {}
    with data.open("wb") as out:
        for path in graphs.values():
            model = onnx.load(path)
            casts = []
            for tensor in model.graph.initializer:
                array = onnx.numpy_helper.to_array(tensor)
                if array.nbytes < SMALLEST:
                    continue
                half = (
                    as_halves(array).tobytes()
                    if halves and tensor.data_type == onnx.TensorProto.FLOAT
                    else b""
                )
                if place := halves.get(hashlib.sha256(half).digest()):
                    casts.append(_cast_of(tensor))
                    _put_outside(tensor, place)
                    continue
                content = array.tobytes()
                key = f"{tensor.data_type}:{hashlib.sha256(content).hexdigest()}"
                if key not in places:
                    out.write(b"\0" * (-out.tell() % ALIGNMENT))
                    places[key] = (data.name, out.tell(), len(content))
                    out.write(content)
                _put_outside(tensor, places[key])
            nodes = [*casts, *model.graph.node]
            del model.graph.node[:]
            model.graph.node.extend(nodes)
            onnx.save(model, path)
    if not places:
        data.unlink()
    return bool(places)


def halves_in(weights: Path) -> dict[bytes, Place]:
    """Where the halves of a safetensors file lie, by the sha256 of their bytes."""
    content = weights.read_bytes()
    first = 8 + int.from_bytes(content[:8], "little")
    found: dict[bytes, Place] = {}
    for tensor in read_header(weights).values():
        if tensor.dtype == "F16":
            start, end = first + tensor.start, first + tensor.end
            found[hashlib.sha256(content[start:end]).digest()] = (weights.name, start, end - start)
    return found


def _cast_of(tensor: onnx.TensorProto) -> onnx.NodeProto:
    """Makes a float32 initializer one of halves under another name, and gives the node that casts it."""
    name = tensor.name
    tensor.name, tensor.data_type = f"{name}.{HALF}", onnx.TensorProto.FLOAT16
    return helper.make_node("Cast", [tensor.name], [name], to=onnx.TensorProto.FLOAT)


def _put_outside(tensor: onnx.TensorProto, place: Place) -> None:
    name, offset, length = place
    for field in ("float_data", "int32_data", "int64_data", "double_data"):
        tensor.ClearField(field)
    tensor.raw_data = b"outside"  # which the next line asks for
    set_external_data(tensor, name, offset=offset, length=length)
    tensor.ClearField("raw_data")
