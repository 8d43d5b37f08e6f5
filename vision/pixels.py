"""The one array type of pictures: RGB, (height, width, 3), uint8; or uint16 where depth is asked for."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from ..errors import FrameError

Image = npt.NDArray[np.uint8]
"""RGB, shape (height, width, 3). From `VideoReader(deep=True)` it may be of uint16, from 0 to 65535, which
`VideoWriter` and interpolation take; crops and trackers take uint8."""
_WHITE = 65535


def check_image(image: Image, *, deep: bool = False) -> Image:
    """Return the image if it is RGB uint8 (height, width, 3) with at least one pixel; or uint16, if ``deep``.

    Raises:
        FrameError: it is anything else.
    """
    if not isinstance(image, np.ndarray):
        raise FrameError(
            f"The image is a {type(image).__name__}, and must be a NumPy array",
            "Give RGB as uint8 of shape (height, width, 3).",
        )
    if (
        image.dtype not in ((np.uint8, np.uint16) if deep else (np.uint8,))
        or image.ndim != 3
        or image.shape[2] != 3
        or 0 in image.shape
    ):
        raise FrameError(
            f"The image has type {image.dtype} and shape {image.shape}",
            "Give RGB as uint8 of shape (height, width, 3) with at least one pixel.",
        )
    return image


def as_uint8(array: Any) -> Image:
    """An OpenCV or PyAV result, for the type checker: their own annotations admit any number type."""
    image: Image = array
    return image


def is_deep(image: Image) -> bool:
    """Whether a picture has 16 bits a component."""
    return image.dtype.itemsize > 1


def in_eight_bits(image: Image) -> Image:
    """The picture in uint8, rounded; itself where it is so already."""
    return as_uint8(cv2.convertScaleAbs(image, alpha=255 / _WHITE)) if is_deep(image) else image
