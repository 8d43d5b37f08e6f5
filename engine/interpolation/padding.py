"""Pictures as a model takes them, and back: float32, channels first, padded to the model's multiple."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ...errors import FrameError
from ...vision import Image
from ...vision.pixels import as_uint8

Plane = npt.NDArray[np.float32]


def padded_size(height: int, width: int, multiple: int) -> tuple[int, int]:
    """The smallest size of at least ``height, width`` that ``multiple`` divides."""
    return -(-height // multiple) * multiple, -(-width // multiple) * multiple


def padded(image: Image, height: int, width: int) -> Image:
    """RGB (h, w, 3) as (height, width, 3): the last row and column are repeated."""
    down, right = height - image.shape[0], width - image.shape[1]
    if not down and not right:
        return image
    return as_uint8(cv2.copyMakeBorder(image, 0, down, 0, right, cv2.BORDER_REPLICATE))


def as_input(image: Image, height: int, width: int, *, whole: bool = False) -> npt.NDArray[Any]:
    """RGB of 8 or 16 bits (h, w, 3) as (1, 3, height, width) in [0, 1]; see `padded`.

    ``whole`` leaves it as bytes, (1, height, width, 3). Raises FrameError where it has 16 bits then.
    """
    if whole and image.dtype != np.uint8:
        raise FrameError(
            f"the frame has {image.dtype.itemsize * 8} bits a component, and this model takes bytes",
            "use the model exported with --decode host, or frames of 8 bits",
        )
    if whole:
        return np.ascontiguousarray(padded(image, height, width))[None]
    planes = np.empty((1, 3, height, width), np.float32)
    unit = np.float32(1 / np.iinfo(image.dtype).max)
    for colour, plane in zip(cv2.split(padded(image, height, width)), planes[0], strict=True):
        np.multiply(colour, unit, out=plane, dtype=np.float32)
    return planes


def as_levels(output: npt.NDArray[Any], height: int, width: int) -> Plane:
    """A model's (1, 3, h, w) in [0, 1], or its bytes, as levels (height, width, 3) up to 255, not rounded."""
    levels: Plane
    if output.dtype == np.uint8:
        levels = output[0, :height, :width].astype(np.float32)
    else:
        levels = np.array(output[0, :, :height, :width].transpose(1, 2, 0), order="C")  # a copy
        np.multiply(levels, np.float32(255), out=levels)
    return levels


def as_pixels(output: npt.NDArray[Any], height: int, width: int, *, deep: bool = False) -> Image:
    """A model's (1, 3, h, w) in [0, 1] as RGB uint8 (height, width, 3), as `as_image` of `as_levels`; or its
    bytes, (1, h, w, 3).
    """
    if output.dtype == np.uint8:
        return as_uint8(np.ascontiguousarray(output[0, :height, :width]))
    if deep:
        return as_image(as_levels(output, height, width), deep=True)
    planes = (np.maximum(plane[:height, :width], 0) for plane in output[0])
    return as_uint8(cv2.merge([cv2.convertScaleAbs(plane, alpha=255) for plane in planes]))


def as_image(levels: Plane, *, deep: bool = False) -> Image:
    """Levels as RGB uint8, or uint16, rounded. ``levels`` is used up: there is no room for copies."""
    np.clip(levels, 0, 255, out=levels)
    if deep:
        np.multiply(levels, np.float32(65535 / 255), out=levels)
        return as_uint8(np.rint(levels, out=levels).astype(np.uint16))
    return np.rint(levels, out=levels).astype(np.uint8)
