"""Very small recurrent models as somebody else's ONNX files: states are inputs and outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Dims = Sequence[int | str | None]


def write_graph(
    path: Path,
    nodes: Sequence[Any],
    inputs: Mapping[str, Dims],
    outputs: Mapping[str, Dims],
    constants: Mapping[str, Any] | None = None,
    *,
    opset: int = 17,
    kinds: Mapping[str, str] | None = None,
) -> Path:
    """Writes a graph; values are float32 unless ``kinds`` says otherwise."""
    import numpy as np
    from onnx import helper, numpy_helper, save

    def value(name: str, dims: Dims) -> Any:
        kind = helper.np_dtype_to_tensor_dtype(np.dtype((kinds or {}).get(name, "float32")))
        return helper.make_tensor_value_info(name, kind, list(dims))

    graph = helper.make_graph(
        list(nodes),
        "tiny",
        [value(*one) for one in inputs.items()],
        [value(*one) for one in outputs.items()],
        [numpy_helper.from_array(np.asarray(one), name) for name, one in (constants or {}).items()],
    )
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8), path)
    return path


def node(kind: str, inputs: Sequence[str], outputs: Sequence[str], **attributes: Any) -> Any:
    """A node of ONNX's own operators."""
    from onnx import helper

    return helper.make_node(kind, inputs, outputs, **attributes)


def write_fading(path: Path, batch: int | str = "batch", size: Dims = ("height", "width")) -> Path:
    """The mean of frames so far, older ones fading, as a picture; and how far the frame is from it.

    ``image`` (batch, 3, height, width), ``mean_in`` of its shape → ``mean_out``, ``far`` (batch, 1).
    """
    import numpy as np

    shape = (batch, 3, *size)
    return write_graph(
        path,
        [
            node("Sub", ["image", "mean_in"], ["apart"]),
            node("Mul", ["apart", "quarter"], ["change"]),
            node("Add", ["mean_in", "change"], ["mean_out"]),
            node("Abs", ["apart"], ["distance"]),
            node("ReduceMean", ["distance"], ["far"], axes=[1, 2, 3], keepdims=0),
        ],
        {"image": shape, "mean_in": shape},
        {"far": (batch,), "mean_out": shape},
        {"quarter": np.float32(0.25)},
    )


def write_matting(path: Path) -> Path:
    """As Robust Video Matting comes: a state that begins as (1, 1, 1, 1) and grows, and a constant input."""
    import numpy as np

    frame = ("batch_size", 3, "height", "width")
    state = ("batch_size", "channels", "height", "width")
    return write_graph(
        path,
        [
            node("AveragePool", ["src"], ["small"], kernel_shape=[2, 2], strides=[2, 2]),
            node("Mul", ["small", "half"], ["seen"]),
            node("Mul", ["r1i", "half"], ["kept"]),
            node("Add", ["seen", "kept"], ["r1o"]),
            node("Resize", ["r1o", "", "twice"], ["large"], mode="nearest"),
            node("ReduceMean", ["large"], ["pha"], axes=[1], keepdims=1),
            node("Mul", ["src", "ratio"], ["fgr"]),
        ],
        {"src": frame, "r1i": state, "ratio": (1,)},
        {"fgr": frame, "pha": ("batch_size", 1, "height", "width"), "r1o": state},
        {"half": np.float32(0.5), "twice": np.array([1, 1, 2, 2], np.float32)},
    )


def write_gru(path: Path, batch: int | str = "batch") -> Path:
    """A GRU over the mean colour: its state is (1, batch, 8), as PyTorch has it; ``score`` is (1, batch)."""
    import numpy as np

    rng = np.random.default_rng(0)
    weights = {"W": rng.normal(size=(1, 24, 3)), "R": rng.normal(size=(1, 24, 8))}
    return write_graph(
        path,
        [
            node("GlobalAveragePool", ["x"], ["pooled"]),
            node("Reshape", ["pooled", "rows"], ["row"]),
            node("GRU", ["row", "W", "R", "", "", "h"], ["y", "h_out"], hidden_size=8),
            node("ReduceMean", ["h_out"], ["score"], axes=[2], keepdims=0),
        ],
        {"x": (batch, 3, 32, 48), "h": (1, batch, 8)},
        {"score": (1, batch), "h_out": (1, batch, 8)},
        {**{name: one.astype(np.float32) for name, one in weights.items()}, "rows": np.array([1, -1, 3])},
    )


def write_total(path: Path, **inputs: Dims) -> Path:
    """The sum of the means of grey frames, a scalar, state and output both; names that no bundle has."""
    return write_graph(
        path,
        [
            node("ReduceMean", ["x:0"], ["mean"], keepdims=0),
            node("Add", ["mean", "total:0"], ["total/out"]),
            node("Identity", ["total/out"], ["level"]),
        ],
        {"x:0": (1, 32, 48, 1), "total:0": (), **inputs},
        {"level": (), "total/out": ()},
    )
