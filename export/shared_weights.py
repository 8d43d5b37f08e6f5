"""One weight file for all graphs of a bundle: equal tensors of different functions are stored once."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import onnx
from onnx.external_data_helper import set_external_data

SMALLEST = 1024  # bytes; smaller tensors stay in their graph, where shape inference wants them
ALIGNMENT = 64  # bytes; lets ONNX Runtime map the file


def share_weights(graphs: Mapping[str, Path], data: Path) -> bool:
    """Moves the large tensors of some graphs into ``data`` (beside them), and points the graphs at it.

    Returns whether there were any; without, there is no such file.

    Args:
        graphs: ONNX files with their weights inside, rewritten in place.
        data: the new file, in the graphs' folder.
    """
    places: dict[str, tuple[int, int]] = {}
    with data.open("wb") as out:
        for path in graphs.values():
            model = onnx.load(path)
            for tensor in model.graph.initializer:
                content = onnx.numpy_helper.to_array(tensor).tobytes()
                if len(content) < SMALLEST:
                    continue
                key = f"{tensor.data_type}:{hashlib.sha256(content).hexdigest()}"
                if key not in places:
                    out.write(b"\0" * (-out.tell() % ALIGNMENT))
                    places[key] = (out.tell(), len(content))
                    out.write(content)
                offset, length = places[key]
                tensor.raw_data = content
                set_external_data(tensor, data.name, offset=offset, length=length)
                tensor.ClearField("raw_data")
                for field in ("float_data", "int32_data", "int64_data", "double_data"):
                    tensor.ClearField(field)
            onnx.save(model, path)
    if not places:
        data.unlink()
    return bool(places)
