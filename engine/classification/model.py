"""What the engine must know of a classifier: its labels, and how it wants to see a frame; by its manifest."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from ...bundles import ModelSpec
from ...errors import BundleError
from ...runtimes import Arrays
from ...vision import Image
from ...vision.views import middle_square, standardise

FUNCTION = "classify"


class ClassificationModel:
    """How a classifier sees a frame, and what it calls what it sees.

    Args:
        spec: of a model whose function ``classify`` takes ``image``, gives ``frame`` (1, K), and carries any
            state. One that smooths by itself takes ``keep`` (1,), and gives ``smoothed`` (1, K), too.

    Raises:
        BundleError: its manifest does not say what a classifier's must.
    """

    def __init__(self, spec: ModelSpec) -> None:
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
        self.smooths = any(tensor.name == "smoothed" for tensor in spec.functions[FUNCTION].outputs)
        """Whether the model smooths over time by itself."""

    def inputs(self, image: Image, keep: float) -> Arrays:
        """A picture of any size, and how much of the average so far stays, as ``classify`` takes them."""
        seen = standardise(middle_square(image, self.size), self.mean, self.std)
        inputs: Arrays = {"image": seen[None]}
        return {**inputs, "keep": np.array([keep], np.float32)} if self.smooths else inputs


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
    given = {tensor.name: tensor.concrete(1) for tensor in function.inputs if tensor.dtype == "float32"}
    found = {tensor.name: tensor.concrete(1) for tensor in function.outputs if tensor.dtype == "float32"}
    image, one = {"image": (1, 3, size, size)}, (1, labels)
    forms = [(image, {"frame": one}), ({**image, "keep": (1,)}, {"frame": one, "smoothed": one})]
    if (given, found) not in forms:
        return f"{FUNCTION!r} takes {given} and gives {found}, not {forms[0]} nor {forms[1]}"
    if function.reads_state != function.writes_state:
        return f"{FUNCTION!r} does not carry all of its state {[tensor.name for tensor in spec.state]}"
    return ""
