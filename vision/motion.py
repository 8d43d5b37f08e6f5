"""Motion of the frame half-way between two, by OpenCV's DIS flow.

DIS (Kroeger et al. 2016, arXiv 1603.03590) runs on grey pictures of half the size, both ways, with smaller
patches set closer than its presets have them: as the fraction of a pixel matters, and as a model mends the
rest. It goes without its variational refinement, which takes longer and brings less.

Half-way of a straight line is where things are only if their speed stays. Neighbouring pairs tell how it
changes: the `bend`, as in quadratic video interpolation (Xu et al. 2019, arXiv 1911.00627).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from .pixels import Image, as_uint8, in_eight_bits

Grey = npt.NDArray[np.uint8]
Flow = npt.NDArray[np.float32]

SHRINK = 2  # how much smaller the grey pictures are
LEAST = 16  # pixels of a side of a grey picture, below which nothing is looked for
SMALL = 2**15  # pixels of a grey picture up to which DIS goes to its finest scale, for four times the time
_FIXED_POINT = 3  # iterations
_DIFFERENT = 10.0  # levels, from which on pixels count less than half
_STEADY = 4.0  # squared levels a pixel: places with less to hold on to hardly move
_MOST_MENDED = 1.0  # pixels


@dataclass(frozen=True, slots=True)
class Way:
    """How motion is found: a patch's side and how far they are apart, in pixels; iterations of DIS.

    ``mended`` tells whether what is seen from the middle is mended at last, see `mended`.
    """

    patch: int
    stride: int
    iterations: int
    mended: bool = False

    def __str__(self) -> str:
        return f"dis-{self.patch}-{self.stride}-{self.iterations}{'-mended' if self.mended else ''}"


WAYS: Mapping[str, Way] = MappingProxyType({"dis": Way(5, 3, 16), "dis-fine": Way(6, 3, 16, mended=True)})
"""By the name that a bundle calls it by. The fine one takes 1.4 of the time."""
QUICK = "dis"


def grey_of(image: Image) -> Grey:
    """What is kept of RGB (height, width, 3): grey of 8 bits at half the size, at least 1 x 1."""
    height, width = (max(1, side // SHRINK) for side in image.shape[:2])
    grey = cv2.cvtColor(in_eight_bits(image), cv2.COLOR_RGB2GRAY)
    return as_uint8(cv2.resize(grey, (width, height), interpolation=cv2.INTER_AREA))


@dataclass(frozen=True, slots=True, eq=False)
class PairFlow:
    """Motion between two pictures, on a coarse grid and in its pixels.

    Attributes:
        forth: (height, width, 2), x and y from places of the first picture to the second.
        back: from places of the second to the first.
        middle: (4, height, width), from places in the middle to the first, then to the second.
    """

    forth: Flow
    back: Flow
    middle: Flow


@dataclass(frozen=True, slots=True, eq=False)
class Neighbour:
    """The pair before or after another one.

    Attributes:
        pair: the motion in it.
        times: how often it fits in the duration of the other.
    """

    pair: PairFlow
    times: float = 1.0


class MiddleFlow:
    """Finds how things move between two pictures, seen from the middle of them.

    Threads may share one: OpenCV's object is not made for that, so each call has one to itself. What is found
    does not depend on the number of OpenCV's threads, nor on what was found before.

    Args:
        way: of ``WAYS``.
    """

    def __init__(self, way: str = QUICK) -> None:
        self._way = WAYS[way]
        self._idle: deque[Any] = deque()

    def find(self, first: Grey, second: Grey, height: int, width: int) -> PairFlow:
        """Both pictures' `grey_of` -> the motion between them on a grid of (height, width).

        Nothing moves where the pictures are too small to look for anything.
        """
        if min(first.shape) < LEAST:
            still = np.zeros((height, width, 2), np.float32)
            return PairFlow(still, still, np.zeros((4, height, width), np.float32))
        forth, back = (on_grid(flow, height, width) for flow in self._both_ways(first, second))
        middle = middle_of(forth, back)
        return PairFlow(forth, back, mended(first, second, middle) if self._way.mended else middle)

    def _both_ways(self, first: Grey, second: Grey) -> tuple[Flow, Flow]:
        try:
            flow = self._idle.pop()
        except IndexError:
            flow = dis_flow(self._way)
        flow.setFinestScale(0 if first.size <= SMALL else 1)
        found = flow.calc(first, second, None), flow.calc(second, first, None)
        self._idle.append(flow)
        return found


def dis_flow(way: Way) -> Any:
    """OpenCV's estimator with such settings."""
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    flow.setPatchSize(way.patch)
    flow.setPatchStride(way.stride)
    flow.setGradientDescentIterations(way.iterations)
    flow.setVariationalRefinementIterations(0)
    return flow


def on_grid(flow: Flow, height: int, width: int) -> Flow:
    """A flow (h, w, 2) on a coarser grid, in pixels of that."""
    times = np.array([width / flow.shape[1], height / flow.shape[0]], np.float32)
    return np.asarray(cv2.resize(flow, (width, height), interpolation=cv2.INTER_AREA) * times, np.float32)


def middle_of(forth: Flow, back: Flow) -> Flow:
    """Flows between two pictures (h, w, 2), each from its own pixels -> those of the middle (4, h, w).

    What is at x in the middle was at x + u in the first picture, from where it moves by forth(x + u): u is
    the fixed point of -forth(x + u) / 2.
    """
    columns, rows = places_of(forth)
    sides = []
    for flow in (forth, back):
        found = -0.5 * flow
        for _ in range(_FIXED_POINT):
            there = columns + found[..., 0], rows + found[..., 1]
            found = -0.5 * cv2.remap(flow, *there, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        sides.append(found.transpose(2, 0, 1))
    return np.concatenate(sides)


def mended(first: Grey, second: Grey, middle: Flow) -> Flow:
    """Flows from the middle (4, h, w), so that both pictures agree better: one step of Lucas and Kanade.

    DIS stops at half of the pictures' size, and a place of the grid is a mean over several patches. Here each
    has one step of its own, both ways alike and at most ``_MOST_MENDED``; where the pictures differ much, by
    what is hidden in one of them, they count little.
    """
    (height, width), size = first.shape, (middle.shape[2], middle.shape[1])
    times = np.array([width / size[0], height / size[1]], np.float32)
    there = cv2.resize(np.ascontiguousarray(middle.transpose(1, 2, 0)), (width, height)) * np.tile(times, 2)
    columns, rows = np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)[:, None]
    seen = []
    for picture, side in ((first, there[..., :2]), (second, there[..., 2:])):
        x, y = side[..., 0] + columns, side[..., 1] + rows
        whole = picture.astype(np.float32)
        seen.append(cv2.remap(whole, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))
    change, mean = seen[1] - seen[0], 0.5 * (seen[0] + seen[1])
    across, down = (cv2.Sobel(mean, -1, *order, ksize=3, scale=1 / 8) for order in ((1, 0), (0, 1)))
    weight = 1 / (1 + np.square(change / _DIFFERENT))
    x, y = across * weight, down * weight
    products = x * across, x * down, y * down, x * change, y * change
    xx, xy, yy, xt, yt = (cv2.resize(one, size, interpolation=cv2.INTER_AREA) for one in products)
    xx, yy = xx + _STEADY, yy + _STEADY
    step = np.stack([xy * yt - yy * xt, xy * xt - xx * yt]) / (xx * yy - xy * xy)
    length = np.sqrt(np.square(step).sum(0))
    step *= (0.5 / times)[:, None, None] / np.maximum(1, length / _MOST_MENDED)
    return np.asarray(middle + np.concatenate([-step, step]), np.float32)


def bend_of(pair: PairFlow, before: Neighbour | None, after: Neighbour | None) -> Flow:
    """How far things half-way lie beside the straight line, as the pairs around tell: (4, height, width).

    x, y by the pair that ends where ``pair`` begins, then x, y by the one that begins where it ends, in
    pixels of the grid; zeros where there is no such pair.

    With the motion a from a frame to one neighbour and b to the other, as far away in time, a + b is the
    acceleration; over half of the time it leads (a + b) / 8 less far than the straight line.
    """
    height, width = pair.forth.shape[:2]
    found = np.zeros((4, height, width), np.float32)
    if before is not None:
        turned = pair.forth + before.times * before.pair.back
        found[:2] = _seen_from_middle(turned, pair.middle[:2]) * (-_share(before.times) / 8)
    if after is not None:
        turned = pair.back + after.times * after.pair.forth
        found[2:] = _seen_from_middle(turned, pair.middle[2:]) * (-_share(after.times) / 8)
    return found


def _share(times: float) -> float:
    """What a change of motion weighs: 1 between pairs that last as long as each other."""
    return 2 * times / (1 + times)


def _seen_from_middle(flow: Flow, there: Flow) -> Flow:
    """A flow (h, w, 2) of one of the frames, fetched along (2, h, w): (2, h, w)."""
    columns, rows = places_of(flow)
    fetched = cv2.remap(
        flow, columns + there[0], rows + there[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(fetched.transpose(2, 0, 1), np.float32)


def places_of(flow: Flow) -> tuple[Flow, Flow]:
    """The x and the y of every place of a grid."""
    height, width = flow.shape[:2]
    columns, rows = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    return columns, rows
