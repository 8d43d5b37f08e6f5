"""Motion found on a smaller frame, brought to the full size."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ...errors import RuntimeUnavailableError
from .model import Motion, Resize

Maps = dict[str, npt.NDArray[np.float32]]
"""Motion on the host, (1, channels, height, width) each."""


def enlarged(motion: Motion, resizes: Mapping[str, Resize], times: int) -> Maps:
    """The motion of a frame ``times`` as large: displacements grow with it, masks do not.

    Raises:
        RuntimeUnavailableError: the runtime keeps its state where only it can read it.
    """
    found: Maps = {}
    for name, kind in resizes.items():
        maps = host(motion[name])
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
    maps: Maps, like: Motion, frame: tuple[int, int], corner: tuple[int, int], size: tuple[int, int]
) -> Motion:
    """The motion of one tile, in the runtime's own form.

    Args:
        maps: of the whole frame.
        like: motion in the runtime's form, by the same names.
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
        found[name] = native(np.ascontiguousarray(piece), like[name])
    return found


def host(value: Any) -> npt.NDArray[np.float32]:
    """A state tensor as a host array. Raises RuntimeUnavailableError where that is not to be had."""
    if isinstance(value, np.ndarray):
        return value
    if hasattr(value, "detach"):  # PyTorch, which is not imported here
        array: npt.NDArray[np.float32] = value.detach().cpu().numpy()
        return array
    raise RuntimeUnavailableError(
        f"a scale below 1 needs state on the host, and this runtime keeps a {type(value).__name__}",
        "use scale 1 (tiles keep the memory bounded), or --device cpu",
    )


def native(array: npt.NDArray[np.float32], like: Any) -> Any:
    """A host array in the form of ``like``."""
    return array if isinstance(like, np.ndarray) else like.new_tensor(array)
