"""An interpolator's frames as bytes within the graph: RGB uint8 goes in and comes out, as videos hold it.

A quarter of the bytes go to a device and back, and conversion and rounding are its work. Both are what the
host does (``engine/interpolation/padding.py``), to the bit; no weight changes. Frames of 16 bits cannot go
in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ..bundles import FunctionSpec, ModelSpec, TensorSpec

PLANES = TensorSpec("image", "float32", ("batch", 3, "height", "width"))
"""A frame as models have it, in [0, 1]."""
PIXELS = TensorSpec("image", "uint8", ("batch", "height", "width", 3))
MEAN = TensorSpec("mean", "float32", ("batch",))
"""Of what was made before it became bytes, which hide what is not finite."""
IN_PARTS = ("aim", "mend", "blend")
"""Frames are warped between these on the host, which then needs them as planes."""


def fits(spec: ModelSpec) -> bool:
    """Whether a model takes and gives frames as planes, and is an interpolator."""
    return {"encode", "interpolate"} <= set(spec.functions) and _frames(spec) == {PLANES}


def ends(spec: ModelSpec) -> bool:
    """Whether it takes and gives bytes."""
    return {"encode", "interpolate"} <= set(spec.functions) and _frames(spec) == {PIXELS}


def changed(spec: ModelSpec) -> ModelSpec:
    """The spec with bytes."""
    functions = {name: _changed(one) for name, one in spec.functions.items() if name not in IN_PARTS}
    return replace(spec, functions=functions)


def wrapped(functions: Mapping[str, Any]) -> dict[str, Any]:
    """The model's functions over bytes."""
    return {name: partial(_over_bytes, one) for name, one in functions.items() if name not in IN_PARTS}


def planes(image: Tensor) -> Tensor:
    """(B, height, width, 3) uint8 -> (B, 3, height, width) float32 in [0, 1]."""
    return image.permute(0, 3, 1, 2).to(torch.float32) * (1 / 255)


def pixels(image: Tensor) -> Tensor:
    """(B, 3, height, width) -> (B, height, width, 3) uint8, rounded to even."""
    return (image.clamp(0, 1) * 255).round().to(torch.uint8).permute(0, 2, 3, 1)


def _frames(spec: ModelSpec) -> set[TensorSpec]:
    used = [*spec.functions["encode"].inputs, *spec.functions["interpolate"].outputs]
    return {tensor for tensor in used if tensor.name == PLANES.name}


def _changed(function: FunctionSpec) -> FunctionSpec:
    inputs, outputs = (
        tuple(PIXELS if tensor == PLANES else tensor for tensor in tensors)
        for tensors in (function.inputs, function.outputs)
    )
    return replace(function, inputs=inputs, outputs=(*outputs, MEAN) if PIXELS in outputs else outputs)


def _over_bytes(
    function: Any, inputs: Mapping[str, Tensor], state: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    name = PIXELS.name
    given = {key: planes(one) if key == name else one for key, one in inputs.items()}
    outputs, written = function(given, state)
    if name in outputs:
        made = outputs[name]
        outputs = {**outputs, name: pixels(made), MEAN.name: made.mean((1, 2, 3))}
    return outputs, written
