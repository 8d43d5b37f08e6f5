"""Warping between two graphs: OpenCV samples a frame three times as fast as a graph does on a CPU.

A model that offers it has, beside ``interpolate``, the same in two parts: ``aim`` says where each place of
the made frame lies in both frames, ``mend`` how it is made of both frames warped (in older bundles ``blend``
makes it). Between them OpenCV warps, in float. OpenCV 4 rounds places to 1/32 of a pixel, so it takes OpenCV
5; without it, and on other runtimes, the model warps itself. See decisions 0013, 0034 and 0054.

A large frame is warped and made a strip of rows at a time: see ``strips``.
"""

from __future__ import annotations

from collections import deque
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ...bundles import ModelSpec
from ...runtimes import Runtime
from ...vision import Image
from .padding import Plane
from .patches import Mixer

AIM, MEND, BLEND = "aim", "mend", "blend"
FLOW = "flow"
"""What ``aim`` gives among others: (1, 4, height/N, width/N), x and y to the first frame, then to the second,
in pixels of the frame."""
WARPED = ("one", "other")
"""What the second part takes beside what ``aim`` gave: both frames warped, (1, 3, height, width)."""
PATCHES = ("residual", "share")
"""What ``mend`` gives in place of an image: what is added, and the share that the first frame has.

In patches of n x n pixels: (1, 3 n², height/n, width/n) and (1, n², height/n, width/n).
"""

BAND = 8
"""Rows of a flow that are enlarged and followed at once."""


def warps_outside(runtime: Runtime) -> bool:
    """Whether frames are better warped between two graphs, and the result is the same."""
    spec: ModelSpec = runtime.spec
    offered = AIM in spec.functions and second_part(spec) is not None
    return offered and (runtime.name, runtime.device) == ("onnx", "cpu") and remap_is_exact()


def second_part(spec: ModelSpec) -> str | None:
    """What makes a frame of both frames warped: ``mend``, or ``blend``; None where a model has neither."""
    return next((name for name in (MEND, BLEND) if name in spec.functions), None)


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


class Desk:
    """Room for what is made of one frame after the other, so that none of it is fresh memory."""

    def __init__(self) -> None:
        self.mixer = Mixer()
        """For models that give patches."""
        self._input = np.empty(0, np.float32)
        self._planes: list[Plane] = []
        self._raw: npt.NDArray[Any] = np.empty((0, 0, 4), np.uint8)
        self._pixels = np.empty((0, 0, 4), np.float32)
        self._grid = np.empty((0, 0, 2), np.float32)
        self._spare = np.empty((0, 0), np.float32)

    def input(self, height: int, width: int) -> Plane:
        """A place for a frame as ``encode`` takes it, (1, 3, height, width)."""
        count = 3 * height * width
        if self._input.size < count:
            self._input = np.empty(count, np.float32)
        return self._input[:count].reshape(1, 3, height, width)

    def both(self, first: Image, second: Image, flow: Plane, rows: slice, times: int) -> list[Plane]:
        """Some rows of ``FLOW``, so many ``times`` as coarse as the frames, and these -> both warped there.

        That is (1, 3, height, width) each; they stand until the next call.
        """
        shape = (1, 3, (rows.stop - rows.start) * times, flow.shape[3] * times)
        if [one.shape for one in self._planes] != [shape] * 2:
            self._planes = [np.empty(shape, np.float32) for _ in range(2)]
        for image, way, out in zip((first, second), (flow[0, :2], flow[0, 2:]), self._planes, strict=True):
            self._warp(image, way, rows, out[0])
        return self._planes

    def _warp(self, image: Image, way: Plane, rows: slice, out: Plane) -> None:
        """A frame fetched along rows of a flow (2, height/N, width/N), in its pixels, into (3, h, w).

        Only those rows of the frame that the flow of ``BAND`` rows leads to are brought into floats for them.
        """
        width = out.shape[2]
        times = width // way.shape[2]
        grid, spare = self._places(BAND * times, width)
        for row in range(rows.start, rows.stop, BAND):
            end = min(row + BAND, rows.stop)
            above, below = int(row > 0), int(end < way.shape[1])  # enlarging looks one row further
            part = np.ascontiguousarray(way[:, row - above : end + below].transpose(1, 2, 0))
            top, bottom = _reached(part, row * times, end * times, image.shape[0])
            part[..., 1] += row * times - top
            places: Any = cv2.resize(part, (width, part.shape[0] * times), interpolation=cv2.INTER_LINEAR)
            places = places[above * times : places.shape[0] - below * times]
            cv2.add(places, grid[: len(places)], places)
            pixels = self._sampled(image[top:bottom])
            warped = cv2.remap(pixels, places, _nothing(), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
            into = slice((row - rows.start) * times, (end - rows.start) * times)
            planes = [plane[into] for plane in out]
            cv2.split(warped, [*planes, spare[: len(places)]])
            for plane in planes:
                np.multiply(plane, np.float32(1 / np.iinfo(image.dtype).max), out=plane)

    def _places(self, height: int, width: int) -> tuple[Plane, Plane]:
        """The x and y of every place, (height, width, 2), and a plane that nobody reads."""
        if self._grid.shape[:2] != (height, width):
            self._grid = np.empty((height, width, 2), np.float32)
            self._grid[..., 0], self._grid[..., 1] = np.arange(width), np.arange(height)[:, None]
            self._spare = np.empty((height, width), np.float32)
        return self._grid, self._spare

    def _sampled(self, rows: Image) -> npt.NDArray[np.float32]:
        """Rows of RGB, 8 or 16 bits, as OpenCV samples them quickest: levels (height, width, 4)."""
        height, width = rows.shape[:2]
        if self._raw.dtype != rows.dtype or self._raw.shape[0] < height or self._raw.shape[1] != width:
            self._raw = np.empty((height, width, 4), rows.dtype)
            self._pixels = np.empty((height, width, 4), np.float32)
        raw, pixels = self._raw[:height], self._pixels[:height]
        cv2.cvtColor(rows, cv2.COLOR_RGB2RGBA, raw)
        np.copyto(pixels, raw)
        return pixels


def _reached(flow: Plane, start: int, stop: int, height: int) -> tuple[int, int]:
    """The rows of a frame that its rows from ``start`` to ``stop`` are fetched from, moved by ``flow``."""
    least, most = float(flow[..., 1].min()), float(flow[..., 1].max())
    top = int(min(max(start + least - 1, 0), height - 1))
    return top, max(top + 1, int(min(max(stop + most + 2, 0), height)))


class Desks:
    """Those of all frames that are made at once. Threads may share them: each is lent to one at a time."""

    def __init__(self) -> None:
        self._idle: deque[Desk] = deque()

    def lend(self) -> Desk:
        """One that is idle, or a new one, until ``take_back``."""
        try:
            return self._idle.pop()
        except IndexError:
            return Desk()

    def take_back(self, desk: Desk) -> None:
        """One that was lent, and that nobody looks at any more."""
        self._idle.append(desk)

    def give_back(self) -> None:
        """Frees what is kept for the next frame."""
        self._idle.clear()
