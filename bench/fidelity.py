"""How close a made frame is to the true one: PSNR and SSIM, on RGB as it is shown, in 8 bits.

Published tables of frame interpolation are made by the benchmark scripts of RIFE and VFIMamba, which share
their measures: PSNR over all pixels and channels (`psnr`), and `ssim_matlab`, whose window spans the colours
too. RIFE rounds what a model makes to 8 bits first, on every set. VFIMamba does so on UCF101 and X-TEST, and
compares what is not rounded on Vimeo-90K and SNU-FILM. Both average over images.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

from ..errors import DataError
from ..vision.pixels import as_uint8

Image = npt.NDArray[np.uint8]
Levels = npt.NDArray[np.uint8] | npt.NDArray[np.float32]
"""Levels from 0 to 255, RGB, (height, width, 3); float32 where they were not rounded."""

PERFECT_DB = 100.0
"""The PSNR of equal images, which would be infinite and could not be averaged."""
_WINDOW, _SIGMA = 11, 1.5
_LUMINANCE, _CONTRAST = (0.01 * 255) ** 2, (0.03 * 255) ** 2


def psnr(one: Levels, other: Levels) -> float:
    """Peak signal to noise in dB over all pixels and channels of two RGB images."""
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


def ssim_matlab(one: Levels, other: Levels) -> float:
    """Structural similarity as RIFE and VFIMamba measure it: the window spans height, width and colour.

    The window is 11 long in each direction, σ 1.5; beyond its edges the image, and beyond red and blue the
    colours, go on as they end. Values are about 0.01 above those of `ssim`.

    Raises:
        DataError: sizes differ, or a side is shorter than the window.
    """
    _check(one, other)
    if min(one.shape[:2]) < _WINDOW:
        raise DataError(f"an image of {one.shape} is smaller than the window", f"Give sides of {_WINDOW}.")
    a, b = one.astype(np.float32), other.astype(np.float32)
    mean_a, mean_b = _blurred_with_colours(a), _blurred_with_colours(b)
    spread_a = _blurred_with_colours(a * a) - mean_a * mean_a
    spread_b = _blurred_with_colours(b * b) - mean_b * mean_b
    joint = _blurred_with_colours(a * b) - mean_a * mean_b
    contrast = (2 * joint + _CONTRAST) / (spread_a + spread_b + _CONTRAST)
    found = contrast * (2 * mean_a * mean_b + _LUMINANCE) / (mean_a**2 + mean_b**2 + _LUMINANCE)
    return float(np.mean(found, dtype=np.float64))


def interpolation_error(one: Image, other: Image) -> float:
    """The mean difference of levels, as RIFE measures it on Middlebury."""
    _check(one, other)
    return float(np.mean(np.abs(one.astype(np.float32) - other), dtype=np.float64))


def rounded(levels: Levels) -> Image:
    """Levels in 8 bits."""
    if levels.dtype == np.uint8:
        return as_uint8(levels)
    return as_uint8(np.rint(np.clip(levels, 0, 255)).astype(np.uint8))


def _blurred_with_colours(planes: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    ramp = np.exp(-((np.arange(_WINDOW) - _WINDOW // 2) ** 2) / (2 * _SIGMA**2))
    ramp /= ramp.sum()
    shares = np.zeros((3, 3))  # of each colour in each blurred one
    for place in range(3):
        for step, weight in enumerate(ramp):
            shares[place, min(max(place + step - _WINDOW // 2, 0), 2)] += weight
    mixed = planes @ shares.T.astype(np.float32)
    window = (_WINDOW, _WINDOW)
    return np.asarray(cv2.GaussianBlur(mixed, window, _SIGMA, borderType=cv2.BORDER_REPLICATE), np.float32)


def _blurred(plane: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return np.asarray(cv2.GaussianBlur(plane, (_WINDOW, _WINDOW), _SIGMA), np.float32)


def _check(one: Levels, other: Levels) -> None:
    if one.shape != other.shape:
        raise DataError(
            f"images of {one.shape} and {other.shape} cannot be compared", "Give two of one size."
        )
