"""An interpolation model's three functions over a runtime, and how their state goes from one to the next.

State is never copied: what ``encode`` wrote for one frame as ``second.*`` is what the next pair reads as
``first.*``, the same objects under the other name, in whatever form the runtime keeps them.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any, Literal

import numpy as np

from ...bundles import ModelSpec, TensorSpec
from ...errors import BundleError
from ...runtimes import Arrays, Runtime, State
from ..task import call
from .padding import Plane
from .prior import BEND, FLOW, prior_of

Features = Mapping[str, Any]
"""What ``encode`` wrote for one frame: by name, without ``second.``."""
Motion = Mapping[str, Any]
"""What ``motion`` wrote for one pair: by its full names, ``motion.*``."""
Resize = Literal["flow", "map"]

FIRST, SECOND, MOTION = "first.", "second.", "motion."
MOST_MULTIPLE = 1024


class InterpolationModel:
    """``encode``, ``motion`` and ``interpolate`` of one bundle.

    Args:
        runtime: opened for the bundle; stays the caller's.

    Raises:
        BundleError: the model lacks functions or state of an interpolator.
    """

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        check_interpolator(runtime.spec)
        self.multiple = _multiple(runtime.spec)
        self.resizes = _resizes(runtime.spec)
        """How each ``motion.*`` tensor goes to another size; empty where the model does not say."""
        self.carries = any(name.startswith(MOTION) for name in runtime.spec.functions["motion"].reads_state)
        """Whether the motion of a pair starts from that of the pair before."""
        self.prior = prior_of(runtime.spec)
        """What finds the flow that the motion of a pair starts from; None where the model takes none."""

    def encode(self, planes: Plane) -> Generator[Any, Any, Features]:
        """The features of one frame, (1, 3, height, width) in [0, 1]; sides are multiples of ``multiple``."""
        made = yield from call("encode", {"image": planes}, None)
        return {name.removeprefix(SECOND): made.state[name] for name in made.state}

    def start(self, height: int, width: int) -> Motion | None:
        """The motion before the first pair: zeros; None where the model does not look at it."""
        if not self.carries:
            return None
        store = self.runtime.allocate(1, (height, width))
        return {name: value for name, value in store.read([0]).items() if name.startswith(MOTION)}

    @property
    def carried(self) -> list[TensorSpec]:
        """The motion that goes from pair to pair; none where the model does not look at it."""
        state = self.runtime.spec.state if self.carries else ()
        return [one for one in state if one.name.startswith(MOTION)]

    @property
    def bends(self) -> bool:
        """Whether the motion of a pair is told how it bends, by the pairs before and after."""
        return self.prior is not None and self.prior.bends

    def motion(
        self, first: Features, second: Features, before: Motion | None, told: Arrays
    ) -> Generator[Any, Any, Motion]:
        """How things move between two frames.

        ``before`` is what ``start`` or the last pair gave, ``told`` what ``prior`` tells, if there is one.
        """
        made = yield from call("motion", told, _pair(first, second, before))
        return dict(made.state)

    def interpolate(
        self, first: Features, second: Features, motion: Motion, t: float
    ) -> Generator[Any, Any, Plane]:
        """The frame (1, 3, height, width), in [0, 1], at ``t`` in (0, 1) between the two."""
        inputs = {"t": np.array([[t]], np.float32)}
        made = yield from call("interpolate", inputs, _pair(first, second, motion))
        image: Plane = made.outputs["image"]
        return image


def _pair(first: Features, second: Features, motion: Motion | None) -> State:
    state: dict[str, Any] = dict(motion or {})
    state.update({FIRST + name: value for name, value in first.items()})
    state.update({SECOND + name: value for name, value in second.items()})
    return state


def check_interpolator(spec: ModelSpec) -> None:
    """Raises BundleError unless the spec has the functions, inputs, outputs and state of an interpolator."""
    wrong = _what_is_wrong(spec)
    if wrong:
        raise BundleError(
            f"model {spec.name!r} is no interpolator: {wrong}", "export it again with this version"
        )


def _what_is_wrong(spec: ModelSpec) -> str:
    taken = [tensor.name for tensor in spec.functions["motion"].inputs] if "motion" in spec.functions else []
    bend = [BEND] if BEND in taken else []
    start = [FLOW, *bend] if "start_flow" in spec.preprocess else []
    expected = {"encode": (["image"], []), "motion": (start, []), "interpolate": (["t"], ["image"])}
    for name, (inputs, outputs) in expected.items():
        if name not in spec.functions:
            return f"it has no function {name!r}"
        function = spec.functions[name]
        if [tensor.name for tensor in function.inputs] != inputs:
            return f"{name} takes {[tensor.name for tensor in function.inputs]}, not {inputs}"
        if [tensor.name for tensor in function.outputs] != outputs:
            return f"{name} gives {[tensor.name for tensor in function.outputs]}, not {outputs}"
    shapes = {tensor.name: tensor.shape for tensor in spec.state}
    for name, shape in shapes.items():
        if not name.startswith((FIRST, SECOND, MOTION)):
            return f"its state {name!r} belongs to neither frame nor to the pair"
        other = SECOND + name.removeprefix(FIRST)
        if name.startswith(FIRST) and shapes.get(other) != shape:
            return f"its state {name!r} has no {other!r} of the same shape"
    writes = {"encode": SECOND, "motion": MOTION}
    for name, prefix in writes.items():
        if any(not written.startswith(prefix) for written in spec.functions[name].writes_state):
            return f"{name} writes state other than {prefix}*"
    return ""


def _multiple(spec: ModelSpec) -> int:
    value = spec.preprocess.get("multiple", 1)
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MOST_MULTIPLE:
        raise BundleError(
            f"preprocess.multiple of {spec.name!r} is {value!r}",
            f"give a whole number from 1 to {MOST_MULTIPLE}",
        )
    return value


def _resizes(spec: ModelSpec) -> dict[str, Resize]:
    """``preprocess.motion_resize``, checked against the motion that ``interpolate`` reads."""
    given = spec.preprocess.get("motion_resize")
    if given is None:
        return {}
    needed = [name for name in spec.functions["interpolate"].reads_state if name.startswith(MOTION)]
    if not isinstance(given, dict) or any(given.get(name) not in ("flow", "map") for name in needed):
        raise BundleError(
            f"preprocess.motion_resize of {spec.name!r} is {given!r}",
            f"name each of {', '.join(needed)} as 'flow' or 'map'",
        )
    found: dict[str, Resize] = {name: "flow" if given[name] == "flow" else "map" for name in needed}
    return found
