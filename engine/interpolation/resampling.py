"""Motion found on a smaller frame, brought to the full size."""

from __future__ import annotations

from collections.abc import Mapping
import cv2
import numpy as np
import numpy.typing as npt

from ...runtimes import Runtime
from .model import Motion, Resize

Maps = dict[str, npt.NDArray[np.float32]]
"""Motion on the host, (1, channels, height, width) each."""


def enlarged(runtime: Runtime, motion: Motion, resizes: Mapping[str, Resize], times: int) -> Maps:
    """The motion of a frame ``times`` as large: displacements grow with it, masks do not."""
    found: Maps = {}
    for name, kind in resizes.items():
        maps = runtime.to_host(motion[name])
        _, channels, height, width = maps.shape
        grown = np.empty((1, channels, height * times, width * times), np.float32)
        for channel in range(channels):
            cv2.resize(
                maps[0, channel], (width * times, height * times), grown[0, channel],
                interpolation=cv2.INTER_LINEAR,
            )  # fmt: skip
        found[name] = np.multiply(grown, times, out=grown) if kind == "flow" else grown
    return found


def part(
    runtime: Runtime, maps: Maps, frame: tuple[int, int], corner: tuple[int, int], size: tuple[int, int]
) -> Motion:
    """The motion of one tile, in the runtime's own form.

    Args:
        runtime: in whose form.
        maps: of the whole frame.
        frame: height and width of the frame, in pixels.
        corner: the tile's first row and column.
        size: the tile's height and width; what reaches past the frame repeats the edge.
    """
    found = {}
    for name, whole in maps.items():
        down, across = frame[0] // whole.shape[2], frame[1] // whole.shape[3]
        top, left = corner[0] // down, corner[1] // across
        height, width = size[0] // down, size[1] // across
        piece = whole[:, :, top : top + height, left : left + width]
        missing = (height - piece.shape[2], width - piece.shape[3])
        if any(missing):
            piece = np.pad(piece, ((0, 0), (0, 0), (0, missing[0]), (0, missing[1])), mode="edge")
        found[name] = runtime.from_host(name, np.ascontiguousarray(piece))
    return found
