"""Warping between two graphs: OpenCV samples a frame three times as fast as a graph does on a CPU.

A model that offers it has, beside ``interpolate``, the same in two parts: ``aim`` says where each place of
the made frame lies in both frames, ``blend`` makes it of both frames warped. Between them OpenCV warps, in
float. OpenCV 4 rounds places to 1/32 of a pixel, so it takes OpenCV 5; without it, and on other runtimes, the
model warps itself. See decision 0013.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ...bundles import ModelSpec
from ...runtimes import Runtime
from .padding import Plane

AIM, BLEND = "aim", "blend"
FLOW = "flow"
"""What ``aim`` gives among others: (1, 4, height/N, width/N), x and y to the first frame, then to the second,
in pixels of the frame."""
WARPED = ("one", "other")
"""What ``blend`` takes among what ``aim`` gave: both frames warped, (1, 3, height, width)."""

BAND = 8
"""Rows of a flow that are enlarged and followed at once."""
Pixels = npt.NDArray[np.float32]
"""A frame as OpenCV samples it quickest: (height, width, 4), the last channel a spare one."""


def warps_outside(runtime: Runtime) -> bool:
    """Whether frames are better warped between two graphs, and the result is the same."""
    spec: ModelSpec = runtime.spec
    offered = {AIM, BLEND} <= set(spec.functions)
    return offered and (runtime.name, runtime.device) == ("onnx", "cpu") and remap_is_exact()


def remap_is_exact() -> bool:
    """Whether OpenCV samples at any fraction of a pixel, which is a matter of its version and its build."""
    ramp = np.tile(np.arange(40, dtype=np.float32), (24, 1))
    across = np.linspace(0, 38.99, 24 * 40, dtype=np.float32).reshape(24, 40)
    places, nothing = np.dstack([across, across[:, ::-1] / 2]), _nothing()
    found = cv2.remap(cv2.merge([ramp] * 4), places, nothing, cv2.INTER_LINEAR)
    return bool(np.abs(found - across[..., None]).max() < 1e-4)


def _nothing() -> Any:
    """In place of a second table: places go in as pairs. Two tables fail on small frames (OpenCV 5.0)."""
    return None


def as_pixels_of(planes: Plane) -> Pixels:
    """(1, 3, height, width) -> (height, width, 4)."""
    red, green, blue = planes[0]
    return np.asarray(cv2.merge([red, green, blue, red]), np.float32)


class OutsideWarp:
    """Warps frames along flows of a coarser grid, some rows at a time: what is between stays in a cache.

    Threads may share one: what it keeps for the next frame is lent to one of them at a time.
    """

    def __init__(self) -> None:
        self._idle: deque[list[Plane]] = deque()

    def both(self, first: Pixels, second: Pixels, flow: Plane) -> list[Plane]:
        """Two frames and ``FLOW`` -> both warped, (1, 3, height, width) each, lent until ``take_back``."""
        shape = (1, 3, *first.shape[:2])
        try:
            planes = self._idle.pop()
        except IndexError:
            planes = []
        if [one.shape for one in planes] != [shape] * 2:
            planes = [np.empty(shape, np.float32) for _ in range(2)]
        for pixels, way, out in zip((first, second), (flow[0, :2], flow[0, 2:]), planes, strict=True):
            warp(pixels, np.ascontiguousarray(way.transpose(1, 2, 0)), out)
        return planes

    def take_back(self, planes: list[Plane]) -> None:
        """What ``both`` lent, which nobody looks at any more."""
        self._idle.append(planes)

    def give_back(self) -> None:
        """Frees what is kept for the next frame."""
        self._idle.clear()


def warp(pixels: Pixels, flow: Plane, out: Plane) -> None:
    """A frame fetched along a flow (height/N, width/N, 2), in its pixels, into (1, 3, height, width)."""
    height, width = pixels.shape[:2]
    times = height // flow.shape[0]
    columns = np.arange(width, dtype=np.float32)
    for top in range(0, flow.shape[0], BAND):
        bottom = min(top + BAND, flow.shape[0])
        above, below = int(top > 0), int(bottom < flow.shape[0])  # enlarging looks one row further
        part = flow[top - above : bottom + below]
        places: Any = cv2.resize(part, (width, part.shape[0] * times), interpolation=cv2.INTER_LINEAR)
        places = places[above * times : places.shape[0] - below * times]
        rows = slice(top * times, bottom * times)
        places[..., 0] += columns
        places[..., 1] += np.arange(rows.start, rows.stop, dtype=np.float32)[:, None]
        warped = cv2.remap(pixels, places, _nothing(), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        cv2.mixChannels([warped], [plane[rows] for plane in out[0]], [0, 0, 1, 1, 2, 2])
