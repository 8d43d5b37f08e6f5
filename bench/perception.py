"""What people see of a made frame: edges (GMSD), patterns (HaarPSI), and its worst patch.

PSNR hides ghosts and soft edges, as they cover few pixels. These measures are those of `piq` 0.8, without its
need of PyTorch; `tests/bench/test_perception.py` holds values of the original.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from ..errors import DataError
from ..vision.motion import MiddleFlow, grey_of
from .fidelity import Image

Plane = npt.NDArray[np.float32]

PATCH = 16
"""Pixels of a side of the patches of `patch_errors`."""
WORST = 99.0
"""Which percentile of them is reported."""
LARGE = 1 / 40
"""Motion between two seen frames counts as large from this share of the longer side on, see `motion_of`."""
LEAST = 2 * 16
"""Pixels of a side that HaarPSI needs: its coarsest wavelet at half the size."""
_YIQ = np.array([[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]], np.float32)
_GRADIENT = 170.0 / 255.0**2
_SCALES, _C, _ALPHA = 3, 30.0, 4.2


def gmsd(one: Image, other: Image) -> float:
    """Gradient magnitude similarity deviation (Xue et al. 2014) of two RGB images; 0 is equal."""
    _check(one, other)
    steep = [_steepness(_halved(image)[..., 0] / 255.0) for image in (one, other)]
    likeness = _likeness(steep[0], steep[1], _GRADIENT)
    return float(np.std(likeness, dtype=np.float64))


def haarpsi(one: Image, other: Image) -> float:
    """Haar wavelet-based perceptual similarity (Reisenhofer et al. 2018) of two RGB images; 1 is equal.

    Raises DataError: a side is shorter than ``LEAST``.
    """
    _check(one, other)
    if min(one.shape[:2]) < LEAST:
        raise DataError(f"an image of {one.shape} is too small for HaarPSI", f"Give sides of {LEAST}.")
    a, b = _halved(one), _halved(other)
    waves_a, waves_b = _waves(a[..., 0]), _waves(b[..., 0])
    weighted = weights = 0.0
    coarse = [np.maximum(waves_a[2][way], waves_b[2][way]) for way in range(2)]
    for way in range(2):
        alike = _mean_of([_likeness(waves_a[scale][way], waves_b[scale][way], _C) for scale in range(2)])
        weighted += _weighted(alike, coarse[way])
        weights += float(coarse[way].sum(dtype=np.float64))
    tints = [[np.abs(_mean_of_four(image[..., index])) for index in (1, 2)] for image in (a, b)]
    alike = _mean_of([_likeness(tints[0][index], tints[1][index], _C) for index in range(2)])
    both = _mean_of(coarse)
    weighted += _weighted(alike, both)
    weights += float(both.sum(dtype=np.float64))
    if not weights:  # both are black
        return 1.0
    tiny = float(np.finfo(np.float32).eps)
    score = (weighted + tiny) / (weights + tiny)
    return float((np.log(score / (1 - score)) / _ALPHA) ** 2)


@dataclass(frozen=True, slots=True)
class WorstPatch:
    """Errors by patch: their ``WORST`` percentile, the largest one, and its top and left in pixels."""

    percentile: float
    most: float
    top: int
    left: int


def patch_errors(one: Image, other: Image) -> WorstPatch:
    """Root mean squared errors of patches of ``PATCH`` pixels a side, in levels; no rest at an edge."""
    _check(one, other)
    side = min(PATCH, *one.shape[:2])
    squared = np.square(one.astype(np.float32) - other).mean(axis=2)
    rows, columns = (length // side for length in squared.shape)
    whole = squared[: rows * side, : columns * side].reshape(rows, side, columns, side)
    errors = np.sqrt(whole.mean(axis=(1, 3)))
    row, column = np.unravel_index(int(errors.argmax()), errors.shape)
    found = float(np.percentile(errors, WORST))
    return WorstPatch(found, float(errors.max()), int(row) * side, int(column) * side)


def motion_of(first: Image, second: Image) -> float:
    """How far the most moving twentieth of two frames moves, at least, as a share of the longer side.

    By a classical flow, which no method that is evaluated has a hand in; 0 where frames are too small for it.
    """
    height, width = (max(1, side // 8) for side in first.shape[:2])
    flow = MiddleFlow().find(grey_of(first), grey_of(second), height, width).forth
    return float(np.percentile(np.linalg.norm(flow, axis=2), 95)) / float(max(height, width))


def _halved(image: Image) -> Plane:
    """In YIQ at half the size, 0 to 255; an odd size first gets a black row and column, as in `piq`."""
    odd = max(image.shape[0] % 2, image.shape[1] % 2)
    yiq = np.pad(image.astype(np.float32) @ _YIQ.T, ((0, odd), (0, odd), (0, 0)))
    rows, columns = yiq.shape[0] // 2, yiq.shape[1] // 2
    found = yiq[: 2 * rows, : 2 * columns].reshape(rows, 2, columns, 2, 3).mean(axis=(1, 3))
    return np.asarray(found, np.float32)


def _steepness(plane: Plane) -> Plane:
    ramp = np.array([[-1, 0, 1]] * 3, np.float32) / 3
    sides = [cv2.filter2D(plane, cv2.CV_32F, k, borderType=cv2.BORDER_CONSTANT) for k in (ramp, ramp.T)]
    return np.asarray(np.hypot(*sides), np.float32)


def _likeness(one: Plane, other: Plane, constant: float) -> Plane:
    return np.asarray((2 * one * other + constant) / (one * one + other * other + constant), np.float32)


def _waves(luma: Plane) -> list[list[Plane]]:
    """Sizes of the responses to Haar wavelets of 2, 4 and 8 pixels, lying and standing."""
    found = []
    for scale in range(_SCALES):
        side = 2 ** (scale + 1)
        kernel = np.full((side, side), 1 / side, np.float32)
        kernel[side // 2 :] *= -1
        anchor = (side // 2 - 1, side // 2 - 1)
        found.append(
            [
                np.abs(cv2.filter2D(luma, cv2.CV_32F, k, anchor=anchor, borderType=cv2.BORDER_CONSTANT))
                for k in (kernel, kernel.T)
            ]
        )
    return found


def _mean_of(planes: Sequence[Plane]) -> Plane:
    return np.asarray(np.mean(planes, axis=0), np.float32)


def _mean_of_four(plane: Plane) -> Plane:
    return np.asarray(
        cv2.boxFilter(plane, cv2.CV_32F, (2, 2), anchor=(0, 0), borderType=cv2.BORDER_CONSTANT), np.float32
    )


def _weighted(alike: Plane, weights: Plane) -> float:
    return float((weights / (1 + np.exp(-_ALPHA * alike))).sum(dtype=np.float64))


def _check(one: Image, other: Image) -> None:
    if one.shape != other.shape:
        raise DataError(
            f"images of {one.shape} and {other.shape} cannot be compared", "Give two of one size."
        )
