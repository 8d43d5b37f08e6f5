"""Whole pictures as a classifier sees them: the middle square, at its size, with its mean and deviation."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from .pixels import Image, as_uint8, check_image


def middle_square(image: Image, size: int) -> Image:
    """The largest square in the middle of a picture, resized to ``size`` x ``size`` pixels.

    Raises:
        FrameError: the picture is not RGB uint8.
    """
    height, width = check_image(image).shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    square = image[top : top + side, left : left + side]
    if side == size:
        return as_uint8(square)
    way = cv2.INTER_AREA if side > size else cv2.INTER_LINEAR
    return as_uint8(cv2.resize(square, (size, size), interpolation=way))


def standardise(image: Image, mean: Sequence[float], std: Sequence[float]) -> npt.NDArray[np.float32]:
    """RGB uint8 (H, W, 3) -> (3, H, W), of which [0, 1] less ``mean`` over ``std``, a number a colour."""
    scale = 1 / (255 * np.asarray(std, np.float32))
    shift = np.asarray(mean, np.float32) / np.asarray(std, np.float32)
    planes = image * scale.astype(np.float32) - shift
    return np.ascontiguousarray(planes.transpose(2, 0, 1), np.float32)
