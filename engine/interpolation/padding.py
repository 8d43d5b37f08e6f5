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
_ROWS = 32  # that are converted at once, in a cache


def padded_size(height: int, width: int, multiple: int) -> tuple[int, int]:
    """The smallest size of at least ``height, width`` that ``multiple`` divides."""
    return -(-height // multiple) * multiple, -(-width // multiple) * multiple


def padded(image: Image, height: int, width: int) -> Image:
    """RGB (h, w, 3) as (height, width, 3): the last row and column are repeated."""
    down, right = height - image.shape[0], width - image.shape[1]
    if not down and not right:
        return image
    return as_uint8(cv2.copyMakeBorder(image, 0, down, 0, right, cv2.BORDER_REPLICATE))


def as_input(
    image: Image, height: int, width: int, *, whole: bool = False, out: Plane | None = None
) -> npt.NDArray[Any]:
    """RGB of 8 or 16 bits (h, w, 3) as (1, 3, height, width) in [0, 1]; see `padded`.

    ``whole`` leaves it as bytes, (1, height, width, 3). ``out`` is where it goes else, if it has that shape.
    Raises FrameError where it has 16 bits and is to be left as bytes.
    """
    if whole and image.dtype != np.uint8:
        raise FrameError(
            f"the frame has {image.dtype.itemsize * 8} bits a component, and this model takes bytes",
            "use the model exported with --decode host, or frames of 8 bits",
        )
    if whole:
        return np.ascontiguousarray(padded(image, height, width))[None]
    shape = (1, 3, height, width)
    planes = np.empty(shape, np.float32) if out is None or out.shape != shape else out
    unit = np.float32(1 / np.iinfo(image.dtype).max)
    tall, wide = image.shape[:2]
    for top in range(0, tall, _ROWS):
        rows = slice(top, min(top + _ROWS, tall))
        for colour, plane in zip(cv2.split(image[rows]), planes[0], strict=True):
            np.multiply(colour, unit, out=plane[rows, :wide], dtype=np.float32)
    planes[0, :, :tall, wide:] = planes[0, :, :tall, wide - 1 : wide]
    planes[0, :, tall:] = planes[0, :, tall - 1 : tall]
    return planes


def put_levels(levels: Plane, output: npt.NDArray[Any], first: int) -> None:
    """Some rows that a model made, from the row ``first`` on, into levels (height, width, 3) up to 255.

    They are a model's (1, 3, h, w) in [0, 1], or its bytes (1, h, w, 3); what is padding is left out. Levels
    are not rounded.
    """
    part = levels[first : first + _rows_of(output)]
    height, width = part.shape[:2]
    if output.dtype == np.uint8:
        part[...] = output[0, :height, :width]
    else:
        np.multiply(output[0, :, :height, :width].transpose(1, 2, 0), np.float32(255), out=part)


def put_pixels(image: Image, output: npt.NDArray[Any], first: int) -> None:
    """As ``put_levels``, into RGB of 8 or 16 bits, rounded."""
    part = image[first : first + _rows_of(output)]
    height, width = part.shape[:2]
    if not height:  # all of it is padding
        return
    if output.dtype == np.uint8 and part.dtype == np.uint8:
        part[...] = output[0, :height, :width]
    elif part.dtype == np.uint8:
        planes = (np.maximum(plane[:height, :width], 0) for plane in output[0])
        cv2.merge([cv2.convertScaleAbs(plane, alpha=255) for plane in planes], part)
    else:
        levels = np.empty(part.shape, np.float32)
        put_levels(levels, output, 0)
        part[...] = as_image(levels, deep=True)


def _rows_of(output: npt.NDArray[Any]) -> int:
    return int(output.shape[1 if output.dtype == np.uint8 else 2])


def as_image(levels: Plane, *, deep: bool = False) -> Image:
    """Levels as RGB uint8, or uint16, rounded. ``levels`` is used up: there is no room for copies."""
    np.clip(levels, 0, 255, out=levels)
    if deep:
        np.multiply(levels, np.float32(65535 / 255), out=levels)
        return as_uint8(np.rint(levels, out=levels).astype(np.uint16))
    return np.rint(levels, out=levels).astype(np.uint8)
