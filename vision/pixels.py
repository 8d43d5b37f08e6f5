"""The one array type of pictures: RGB, uint8, (height, width, 3)."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import FrameError

Image = npt.NDArray[np.uint8]
"""RGB, shape (height, width, 3)."""


def check_image(image: Image) -> Image:
    """Return the image if it is RGB uint8 (height, width, 3) with at least one pixel.

    Raises:
        FrameError: it is anything else.
    """
    if not isinstance(image, np.ndarray):
        raise FrameError(
            f"The image is a {type(image).__name__}, and must be a NumPy array",
            "Give RGB as uint8 of shape (height, width, 3).",
        )
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
        raise FrameError(
            f"The image has type {image.dtype} and shape {image.shape}",
            "Give RGB as uint8 of shape (height, width, 3) with at least one pixel.",
        )
    return image


def as_uint8(array: Any) -> Image:
    """An OpenCV or PyAV result, for the type checker: their own annotations admit any number type."""
    image: Image = array
    return image
