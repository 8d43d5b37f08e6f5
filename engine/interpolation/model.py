"""An interpolation model's functions over a runtime, and how their state goes from one to the next.

State is never copied: what ``encode`` wrote for one frame as ``second.*`` is what the next pair reads as
``first.*``, the same objects under the other name, in whatever form the runtime keeps them.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from functools import cache, partial
from typing import Any, Literal, NamedTuple

import numpy as np

from ...bundles import ModelSpec, Size, TensorSpec
from ...bundles.tensor import side_of
from ...errors import BundleError
from ...runtimes import Arrays, Runtime, State
from ...vision import Image
from ..task import call
from .outside import AIM, BLEND, MEND, PATCHES, WARPED, Desks, second_part, warps_outside
from .outside import FLOW as PLACES
from .padding import Plane, as_input
from .prior import BEND, FLOW, prior_of
from .strips import MOST_PIXELS, cut, reach_of, strips_of

Features = Mapping[str, Any]
"""What ``encode`` wrote for one frame: by name, without ``second.``."""
Motion = Mapping[str, Any]
"""What ``motion`` wrote for one pair: by its full names, ``motion.*``."""
Resize = Literal["flow", "map"]

FIRST, SECOND, MOTION = "first.", "second.", "motion."
FINE = "encode_fine"
"""As ``encode``, of frames whose motion is found at another size: only what making them reads."""
SHOWN, IMAGE = "shown", "image"
BYTES = ("batch", "height", "width", 3)
"""Frames as bytes, RGB."""
MEAN = "mean"
"""What ``interpolate`` may give beside bytes, so that what is not finite is seen."""
MOST_MULTIPLE = 1024
Take = Callable[[Plane, int], None]
"""Takes some rows of a made frame, (1, 3, rows, width) in [0, 1] or bytes, and the number of the first."""


class Shown(NamedTuple):
    """What frames between are made of where the model does not warp itself.

    Attributes:
        image: RGB of 8 or 16 bits (height, width, 3).
        size: height and width of it, padded as the model sees it.
    """

    image: Image
    size: Size


class Aimed(NamedTuple):
    """What a frame is made of, beside the frames around it.

    Attributes:
        flow: where each place lies in both, see ``outside.FLOW``.
        maps: what else ``blend`` takes, on that grid or on one that is a whole number of times coarser.
    """

    flow: Plane
    maps: Arrays


class InterpolationModel:
    """``encode``, ``motion`` (which a model may do without) and ``interpolate`` of one bundle.

    Args:
        runtime: opened for the bundle; stays the caller's.

    Raises:
        BundleError: the model lacks functions or state of an interpolator.
    """

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        check_interpolator(runtime.spec)
        self.multiple = _multiple(runtime.spec)
        self.takes_bytes = runtime.spec.functions["encode"].inputs[0].dtype == "uint8"
        """Whether frames go in and come out as RGB uint8, (1, height, width, 3)."""
        self.resizes = _resizes(runtime.spec)
        """How each ``motion.*`` tensor goes to another size; empty where the model does not say."""
        self.finds_motion = "motion" in runtime.spec.functions
        """Whether motion is found once a pair, or each frame that is made finds its own."""
        read = runtime.spec.functions["motion"].reads_state if self.finds_motion else ()
        self.carries = any(name.startswith(MOTION) for name in read)
        """Whether the motion of a pair starts from that of the pair before."""
        self._desks = Desks() if warps_outside(runtime) else None
        self._second = second_part(runtime.spec) or ""
        self._reach = cache(partial(reach_of, runtime, self.multiple))
        self.prior = prior_of(runtime.spec)
        """What finds the flow that the motion of a pair starts from; None where the model takes none."""

    def encode(
        self, image: Image, size: Size, *, moves: bool = True, shown: bool = True
    ) -> Generator[Any, Any, Features]:
        """The features of RGB (h, w, 3), padded to ``size``, whose sides are multiples of ``multiple``.

        ``moves`` and ``shown`` tell whether motion is found by them, and whether frames are made of them.
        """
        name = "encode" if moves or FINE not in self.runtime.spec.functions else FINE
        if self._desks is None:
            made = yield from call(name, {IMAGE: as_input(image, *size, whole=self.takes_bytes)}, None)
            return _named(made.state)
        desk = self._desks.lend()
        planes = as_input(image, *size, whole=self.takes_bytes, out=desk.input(*size))
        made = yield from call(name, {IMAGE: planes}, None)
        self._desks.take_back(desk)
        found = _named(made.state)
        found.pop(IMAGE, None)
        if shown:
            found[SHOWN] = Shown(image, size)
        return found

    def shows(self, size: Size) -> bool:
        """Whether frames of ``size`` can be made whole of what ``aim`` says of smaller ones."""
        if self._desks is None:
            return False
        return size[0] * size[1] <= MOST_PIXELS or self._reach() is not None

    def start(self, height: int, width: int) -> Motion | None:
        """The motion before the first pair: zeros; None where the model does not look at it."""
        if not self.carries:
            return None
        store = self.runtime.allocate(1, (height, width))
        return {name: value for name, value in store.read([0]).items() if name.startswith(MOTION)}

    def give_back(self) -> None:
        """Frees what is kept for the next frame."""
        if self._desks is not None:
            self._desks.give_back()

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
        Nothing, where the model finds it anew for each frame that it makes.
        """
        if not self.finds_motion:
            return {}
        made = yield from call("motion", told, _pair(first, second, before))
        return dict(made.state)

    def interpolate(
        self, first: Features, second: Features, motion: Motion, t: float, take: Take
    ) -> Generator[Any, Any, None]:
        """Makes the frame at ``t`` in (0, 1) between the two; ``take`` is handed it, some rows at a time."""
        if self._desks is None:
            inputs = {"t": np.array([[t]], np.float32)}
            made = yield from call("interpolate", inputs, _pair(first, second, motion))
            take(made.outputs["image"], 0)
            return
        aimed = yield from self.aim(first, second, motion, t)
        yield from self.blend(first[SHOWN], second[SHOWN], aimed, take)

    def aim(self, first: Features, second: Features, motion: Motion, t: float) -> Generator[Any, Any, Aimed]:
        """Where the places of the frame at ``t`` lie; for models that `shows` says can do so."""
        aimed = yield from call(AIM, {"t": np.array([[t]], np.float32)}, _pair(first, second, motion))
        maps = dict(aimed.outputs)
        return Aimed(maps.pop(PLACES), maps)

    def blend(self, first: Shown, second: Shown, aimed: Aimed, take: Take) -> Generator[Any, Any, None]:
        """Makes a frame of two; ``take`` is handed it, some rows at a time."""
        assert self._desks is not None, "frames are warped here"
        flow, times = aimed.flow, first.size[0] // aimed.flow.shape[2]
        for strip in strips_of(flow, times, self._reach):
            desk = self._desks.lend()
            warped = desk.both(first.image, second.image, flow, strip.seen, times)
            given = {**cut(aimed.maps, strip, flow.shape[2]), **dict(zip(WARPED, warped, strict=True))}
            made = yield from call(self._second, given, None)
            first_row, shown = strip.seen.start * times, strip.inside
            if IMAGE in made.outputs:
                rows = slice(shown.start * times, shown.stop * times)
                take(made.outputs[IMAGE][:, :, rows], first_row + rows.start)
            else:
                residual, share = (made.outputs[name] for name in PATCHES)
                for part, place in desk.mixer.mixed(residual, share, (warped[0], warped[1]), shown):
                    take(part, first_row + place)
            self._desks.take_back(desk)


def _named(state: State) -> dict[str, Any]:
    return {name.removeprefix(SECOND): state[name] for name in state}


def _pair(first: Features, second: Features, motion: Motion | None) -> State:
    state: dict[str, Any] = dict(motion or {})
    for owner, features in ((FIRST, first), (SECOND, second)):
        state.update({owner + name: value for name, value in features.items() if name != SHOWN})
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
    expected = {"encode": (["image"], []), "interpolate": (["t"], ["image"])}
    if start or any(name.startswith(MOTION) for one in spec.functions.values() for name in one.reads_state):
        expected["motion"] = (start, [])
    if FINE in spec.functions:
        expected[FINE] = (["image"], [])
    for name, (inputs, outputs) in expected.items():
        if name not in spec.functions:
            return f"it has no function {name!r}"
        function = spec.functions[name]
        if [tensor.name for tensor in function.inputs] != inputs:
            return f"{name} takes {[tensor.name for tensor in function.inputs]}, not {inputs}"
        if [tensor.name for tensor in function.outputs if tensor.name != MEAN] != outputs:
            return f"{name} gives {[tensor.name for tensor in function.outputs]}, not {outputs}"
        for tensor in (*function.inputs, *function.outputs):
            if tensor.name == IMAGE and tensor.dtype == "uint8" and tensor.shape != BYTES:
                return f"{name} has an image of bytes of {tensor.shape}, not {BYTES}"
    shapes = {tensor.name: tensor.shape for tensor in spec.state}
    for name, shape in shapes.items():
        if not name.startswith((FIRST, SECOND, MOTION)):
            return f"its state {name!r} belongs to neither frame nor to the pair"
        other = SECOND + name.removeprefix(FIRST)
        if name.startswith(FIRST) and shapes.get(other) != shape:
            return f"its state {name!r} has no {other!r} of the same shape"
    writes = {"encode": SECOND, FINE: SECOND, "motion": MOTION}
    for name, prefix in writes.items():
        written = spec.functions[name].writes_state if name in spec.functions else ()
        if any(not one.startswith(prefix) for one in written):
            return f"{name} writes state other than {prefix}*"
    if FINE in spec.functions:
        read = {name for name in spec.functions["interpolate"].reads_state if name.startswith(SECOND)}
        if not read <= set(spec.functions[FINE].writes_state):
            return f"{FINE} does not write all that interpolate reads of a frame"
    return _what_is_wrong_outside(spec)


def _what_is_wrong_outside(spec: ModelSpec) -> str:
    """Of ``aim`` and the second part, where a model has them."""
    second = second_part(spec)
    if (AIM in spec.functions) != (second is not None):
        return f"it has {second or AIM} and not both of {AIM} and {MEND}"
    if second is None:
        return ""
    aim, last = spec.functions[AIM], spec.functions[second]
    given, taken, made = (
        [tensor.name for tensor in tensors] for tensors in (aim.outputs, last.inputs, last.outputs)
    )
    if [tensor.name for tensor in aim.inputs] != ["t"] or PLACES not in given or last.reads_state:
        return f"{AIM} does not give {PLACES!r} at a time t, or {second} reads state"
    if sorted(taken) != sorted([*(name for name in given if name != PLACES), *WARPED]):
        return f"{second} takes {taken}, not {WARPED} and what {AIM} gives"
    expected = [IMAGE] if second == BLEND else list(PATCHES)
    if made != expected:
        return f"{second} gives {made}, not {' and '.join(expected)}"
    if second == BLEND:
        return ""
    residual, share = (tensor.shape for tensor in last.outputs)
    grid = next(tensor.shape for tensor in aim.outputs if tensor.name == PLACES)
    side = side_of(share[-1])
    count = 0 if side is None else side[1] ** 2
    if share != (share[0], count, *grid[2:]) or residual != (share[0], 3 * count, *grid[2:]):
        return f"{second} gives patches of {residual} and {share}, which do not fit a flow of {grid}"
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
