"""``look`` of one tracker for another that has none: telling a target from its likeness takes pixels only."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, numpy_helper

from ..bundles import JSON, Bundle, FunctionSpec
from ..errors import OptionError
from ..vision import IMAGENET_MEAN, IMAGENET_STD
from .onnx_surgery import renamed

LOOK = "look"


def borrowed_look(lender: Bundle, normalisation: JSON) -> tuple[onnx.ModelProto, FunctionSpec, JSON]:
    """The graph for crops of that normalisation, what it takes and gives, and its ``look_factor``.

    Raises OptionError: the bundle has no such function with a graph.
    """
    spec = lender.spec
    if LOOK not in spec.functions or f"{LOOK}.onnx" not in lender.files:
        raise OptionError(
            f"model {spec.name!r} has no look in ONNX", "name a tracker that has, such as tracker-nano"
        )
    model = onnx.load(lender.file(f"{LOOK}.onnx"))
    function = spec.function(LOOK)
    crop = function.inputs[0].name
    model = renamed(model, {crop: f"{crop}/levels"})
    (own_gain, own_shift), (gain, shift) = (
        levels(one) for one in (spec.preprocess.get("normalisation", "imagenet"), normalisation)
    )
    graph = model.graph
    graph.input[0].name = crop
    factors = {"gain": own_gain / gain, "shift": own_shift - own_gain * shift / gain}
    for name, values in factors.items():
        array = values.astype(np.float32).reshape(1, 3, 1, 1)
        graph.initializer.append(numpy_helper.from_array(array, f"{crop}/{name}"))
    nodes = [
        helper.make_node("Mul", [crop, f"{crop}/gain"], [f"{crop}/gained"]),
        helper.make_node("Add", [f"{crop}/gained", f"{crop}/shift"], [f"{crop}/levels"]),
        *graph.node,
    ]
    del graph.node[:]
    graph.node.extend(nodes)
    return model, function, spec.preprocess["look_factor"]


def levels(normalisation: JSON) -> tuple[np.ndarray[tuple[int], np.dtype[np.float64]], ...]:
    """What bytes are multiplied with, and what is added then, a channel (3,)."""
    if normalisation == "none":
        return np.ones(3), np.zeros(3)
    std = np.array(IMAGENET_STD)
    return 1 / (255 * std), -np.array(IMAGENET_MEAN) / std
