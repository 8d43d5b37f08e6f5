"""What the engine must know of a classifier: its labels, and how it wants to see a frame; by its manifest."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from ...bundles import ModelSpec, TensorSpec
from ...errors import BundleError
from ...runtimes import Arrays, Runtime
from ...vision import Image
from ...vision.views import middle_square, standardise

TASK = "classification"
FUNCTION = "classify"
STATE = "average"


class ClassificationModel:
    """``classify`` of one bundle, whose labels and view are checked.

    Args:
        runtime: opened for the bundle; stays the caller's.

    Raises:
        BundleError: the model is for another task, or its manifest does not say what a classifier's must.
    """

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        spec = runtime.spec
        if spec.task != TASK:
            raise BundleError(f"model {spec.name!r} is for {spec.task}", "use one for classification")
        wrong = what_is_wrong(spec)
        if wrong:
            raise BundleError(
                f"model {spec.name!r} is no classifier: {wrong}", "export it again with this version"
            )
        settings: Mapping[str, Any] = spec.preprocess
        self.labels: tuple[str, ...] = tuple(settings["labels"])
        self.size: int = settings["size"]
        self.mean: tuple[float, ...] = tuple(settings["mean"])
        self.std: tuple[float, ...] = tuple(settings["std"])

    def inputs(self, image: Image, keep: float) -> Arrays:
        """A picture of any size, and how much of the average so far stays, as ``classify`` takes them."""
        seen = standardise(middle_square(image, self.size), self.mean, self.std)
        return {"image": seen[None], "keep": np.array([keep], np.float32)}


def what_is_wrong(spec: ModelSpec) -> str:
    """Why a manifest is no classifier's; empty where it is one."""
    settings: Mapping[str, Any] = spec.preprocess
    labels, size = settings.get("labels"), settings.get("size")
    if not isinstance(labels, list) or len(labels) < 2:
        return "it does not list two labels or more"
    unfit = [
        name for name in labels if not isinstance(name, str) or not name.strip() or not name.isprintable()
    ]
    if unfit:
        return f"{unfit[0]!r} is no name of a label"
    if len(set(labels)) != len(labels):
        return "a label stands twice"
    if type(size) is not int or size < 1:
        return f"its pictures are of size {size!r}"
    if settings.get("view") != "middle":
        return f"it wants to see the {settings.get('view')!r} of a frame, which is not known here"
    for name in ("mean", "std"):
        numbers = settings.get(name)
        if not isinstance(numbers, list) or len(numbers) != 3 or not all(map(is_number, numbers)):
            return f"its {name} is {numbers!r}"
        if name == "std" and min(numbers) <= 0:
            return f"its std is {numbers!r}"
    return wrong_tensors(spec, size, len(labels))


def is_number(value: object) -> bool:
    """Whether a value of JSON is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def wrong_tensors(spec: ModelSpec, size: int, labels: int) -> str:
    """Why inputs, outputs or state are not a classifier's; empty where they are."""
    if FUNCTION not in spec.functions:
        return f"it has no function {FUNCTION!r}"
    function = spec.functions[FUNCTION]
    expected: dict[str, tuple[tuple[TensorSpec, ...], dict[str, tuple[int, ...]]]] = {
        "inputs": (function.inputs, {"image": (1, 3, size, size), "keep": (1,)}),
        "outputs": (function.outputs, {"frame": (1, labels), "smoothed": (1, labels)}),
        "state": (spec.state, {STATE: (1, labels)}),
    }
    for what, (tensors, shapes) in expected.items():
        found = {tensor.name: tensor.concrete(1) for tensor in tensors if tensor.dtype == "float32"}
        if found != shapes:
            return f"its {what} are {found}, not {shapes}"
    if function.reads_state != (STATE,) or function.writes_state != (STATE,):
        return f"{FUNCTION!r} does not carry its state {STATE!r}"
    return ""
