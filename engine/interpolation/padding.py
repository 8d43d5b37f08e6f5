"""Pictures as a model takes them, and back: float32, channels first, padded to the model's multiple."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

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


def as_input(image: Image, height: int, width: int) -> Plane:
    """RGB of 8 or 16 bits (h, w, 3) as (1, 3, height, width) in [0, 1]; see `padded`."""
    planes = np.empty((1, 3, height, width), np.float32)
    unit = np.float32(1 / np.iinfo(image.dtype).max)
    for colour, plane in zip(cv2.split(padded(image, height, width)), planes[0], strict=True):
        np.multiply(colour, unit, out=plane, dtype=np.float32)
    return planes


def as_levels(output: Plane, height: int, width: int) -> Plane:
    """A model's (1, 3, h, w) in [0, 1] as (height, width, 3) in levels from 0 to 255, not rounded."""
    levels = np.array(output[0, :, :height, :width].transpose(1, 2, 0), order="C")  # a copy
    return np.multiply(levels, np.float32(255), out=levels)


def as_pixels(output: Plane, height: int, width: int, *, deep: bool = False) -> Image:
    """A model's (1, 3, h, w) in [0, 1] as RGB uint8 (height, width, 3), as `as_image` of `as_levels`."""
    if deep:
        return as_image(as_levels(output, height, width), deep=True)
    planes = (np.maximum(plane[:height, :width], 0) for plane in output[0])
    return as_uint8(cv2.merge([cv2.convertScaleAbs(plane, alpha=255) for plane in planes]))


def as_image(levels: Plane, *, deep: bool = False) -> Image:
    """Levels as RGB uint8 or uint16, rounded. ``levels`` is used up: large frames leave no room."""
    np.clip(levels, 0, 255, out=levels)
    if deep:
        np.multiply(levels, np.float32(65535 / 255), out=levels)
        return as_uint8(np.rint(levels, out=levels).astype(np.uint16))
    return np.rint(levels, out=levels).astype(np.uint8)
