"""The first template's pixels, kept small: what a refreshed template is blended with comes from them."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from ...errors import ImageError, StateError
from ...vision import Image, decode_image, encode_image

Bytes = npt.NDArray[np.uint8]

LIMIT_BYTES = 48 * 1024
"""Of a view: 128 x 128 pixels as they are. Larger templates are kept as JPEG, and smaller where need be."""
_QUALITIES = (95, 85, 70, 50)


def compact(view: Image) -> Bytes:
    """A template's pixels, uint8 (S, S, 3), as at most ``LIMIT_BYTES`` bytes, (n,)."""
    if view.nbytes <= LIMIT_BYTES:
        return view.reshape(-1).copy()
    while True:
        for quality in _QUALITIES:
            data = encode_image(view, "jpeg", quality=quality)
            if len(data) <= LIMIT_BYTES:
                return np.frombuffer(data, np.uint8)
        side = view.shape[0] // 2
        view = np.asarray(cv2.resize(view, (side, side), interpolation=cv2.INTER_AREA), np.uint8)


def expand(kept: Bytes, size: int) -> Image:
    """The pixels, uint8 (size, size, 3), that ``compact`` kept; the same ones every time.

    Raises:
        StateError: no ``compact`` gave these bytes.
    """
    if kept.ndim != 1 or kept.dtype != np.uint8 or kept.size > LIMIT_BYTES:
        raise StateError(
            f"the first template is {kept.dtype} {kept.shape}, not up to {LIMIT_BYTES} bytes",
            "take the snapshot again, or get an undamaged copy of it",
        )
    if 3 * size**2 <= LIMIT_BYTES:
        if kept.size != 3 * size**2:
            raise StateError(
                f"the first template has {kept.size} bytes, and {size} x {size} pixels have {3 * size**2}",
                "take the snapshot again, or get an undamaged copy of it",
            )
        return kept.reshape(size, size, 3)
    try:
        view = decode_image(kept.tobytes(), max_pixels=size**2)
    except ImageError as error:
        raise StateError(f"the first template is no picture ({error.problem})", error.remedy) from error
    if view.shape[:2] == (size, size):
        return view
    return np.asarray(cv2.resize(view, (size, size), interpolation=cv2.INTER_LINEAR), np.uint8)
