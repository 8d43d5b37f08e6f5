"""The flow that a model's motion starts from, where it asks for one: classical, found by the engine.

A bundle says so by ``preprocess.start_flow`` (one of ``WAYS`` of ``vision.motion``) and by the input ``flow``
of its function ``motion``: (batch, 4, height/N, width/N), x and y from each place in the middle to the first
frame, then to the second, in pixels of that grid. It is found on what the model sees of a frame: padded, a
tile of it, or shrunk. Of each frame its grey half-size picture is kept for the next pair.

With a second input, ``bend`` of the same shape, it is also told how the motion bends: x and y by which things
half-way lie beside the straight line, as the pair before tells, then as the pair after does; zeros where
there is none, or none yet.
"""

from __future__ import annotations

import cv2
import numpy as np

from ...bundles import ModelSpec
from ...bundles.tensor import side_of
from ...errors import BundleError, StepError
from ...runtimes import Arrays
from ...vision import Image
from ...vision.motion import QUICK, WAYS, Grey, MiddleFlow, Neighbour, PairFlow, bend_of, grey_of

FLOW, BEND = "flow", "bend"
MOST_SHRUNK = 64


class Prior:
    """Finds the flow that a pair of frames starts from. Threads may share one.

    Args:
        shrink: how much smaller the grid of the flow is than the frame.
        bends: whether the model is told how the motion bends.
        way: in which it is found, of ``WAYS``.
    """

    def __init__(self, shrink: int, bends: bool = False, way: str = QUICK) -> None:
        self.shrink, self.bends = shrink, bends
        self._careful, self._quick = MiddleFlow(way), MiddleFlow()

    def guide(self, image: Image) -> Grey:
        """What is kept of a frame as the model sees it: RGB uint8 (height, width, 3), padded."""
        return grey_of(image)

    def find(self, first: Grey, second: Grey, height: int, width: int, *, quick: bool = False) -> PairFlow:
        """The motion between two frames of (height, width), by their guides; ``quick`` in the quickest way.

        Nothing moves where frames are too small to look for anything. Raises StepError where OpenCV fails.
        """
        try:
            finder = self._quick if quick else self._careful
            return finder.find(first, second, height // self.shrink, width // self.shrink)
        except cv2.error as error:
            raise StepError(
                f"OpenCV's DIS flow failed on {width} x {height} pixels "
                f"({' '.join(str(error).split())[:120]})",
                "use a model that starts from no flow, and report this",
            ) from error

    def told(self, pair: PairFlow, before: Neighbour | None = None, after: Neighbour | None = None) -> Arrays:
        """What ``motion`` is handed for a pair, given those before and after it where they are known."""
        inputs = {FLOW: np.ascontiguousarray(pair.middle[None])}
        if self.bends:
            inputs[BEND] = bend_of(pair, before, after)[None]
        return inputs


def prior_of(spec: ModelSpec) -> Prior | None:
    """What finds the flow that a model starts from; None where it asks for none.

    Raises BundleError where the bundle asks for what there is not.
    """
    method = spec.preprocess.get("start_flow")
    inputs = spec.functions["motion"].inputs if "motion" in spec.functions else ()
    if method is None and not inputs:
        return None
    if not isinstance(method, str) or method not in WAYS:
        raise BundleError(
            f"preprocess.start_flow of {spec.name!r} is {method!r}, and motion takes "
            f"{[tensor.name for tensor in inputs]}",
            f"use a bundle that starts from one of {', '.join(WAYS)}, or from nothing",
        )
    named = [tensor.name for tensor in inputs]
    alike = len({tensor.shape for tensor in inputs}) == 1
    shape = inputs[0].shape if named in ([FLOW], [FLOW, BEND]) and alike else ()
    sides = [side_of(dim) for dim in shape[2:]]
    if len(shape) != 4 or shape[1] != 4 or None in sides:
        raise BundleError(
            f"motion of {spec.name!r} takes {[(tensor.name, tensor.shape) for tensor in inputs]}",
            "a flow to start from is 'flow', (batch, 4, height/N, width/N), and 'bend' is of the same shape",
        )
    (down, rows), (across, columns) = (side for side in sides if side is not None)
    if (down, across) != ("height", "width") or rows != columns or rows > MOST_SHRUNK:
        raise BundleError(
            f"the flow that motion of {spec.name!r} takes is {shape}",
            f"it is (batch, 4, height/N, width/N), N at most {MOST_SHRUNK}",
        )
    return Prior(rows, bends=len(named) > 1, way=method)
