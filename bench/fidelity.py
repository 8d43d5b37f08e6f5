"""How close a made frame is to the true one: PSNR and SSIM, on RGB as it is shown, in 8 bits."""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

from ..errors import DataError

Image = npt.NDArray[np.uint8]

PERFECT_DB = 100.0
"""The PSNR of equal images, which would be infinite and could not be averaged."""
_WINDOW, _SIGMA = 11, 1.5
_LUMINANCE, _CONTRAST = (0.01 * 255) ** 2, (0.03 * 255) ** 2


def psnr(one: Image, other: Image) -> float:
    """Peak signal to noise in dB over all pixels and channels of two RGB uint8 images."""
    _check(one, other)
    difference = one.astype(np.float32) - other
    error = float(np.mean(difference * difference, dtype=np.float64))
    return min(PERFECT_DB, 10 * math.log10(255**2 / error)) if error > 0 else PERFECT_DB


def ssim(one: Image, other: Image) -> float:
    """Structural similarity (Wang et al. 2004): Gaussian window of 11 pixels, σ 1.5; mean over channels.

    Where the window fits into the image, that is: 5 pixels at each edge do not count, unless the image has
    no others.
    """
    _check(one, other)
    a, b = one.astype(np.float32), other.astype(np.float32)
    mean_a, mean_b = _blurred(a), _blurred(b)
    spread_a = _blurred(a * a) - mean_a * mean_a
    spread_b = _blurred(b * b) - mean_b * mean_b
    joint = _blurred(a * b) - mean_a * mean_b
    luminance = (2 * mean_a * mean_b + _LUMINANCE) / (mean_a**2 + mean_b**2 + _LUMINANCE)
    found = luminance * (2 * joint + _CONTRAST) / (spread_a + spread_b + _CONTRAST)
    edge = _WINDOW // 2
    inner = found[edge:-edge, edge:-edge] if min(found.shape[:2]) > 2 * edge else found
    return float(np.mean(inner, dtype=np.float64))


def _blurred(plane: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return np.asarray(cv2.GaussianBlur(plane, (_WINDOW, _WINDOW), _SIGMA), np.float32)


def _check(one: Image, other: Image) -> None:
    if one.shape != other.shape:
        raise DataError(
            f"images of {one.shape} and {other.shape} cannot be compared", "Give two of one size."
        )
