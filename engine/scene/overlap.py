"""Overlap and distance of many boxes at a time."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]


def overlaps(ones: Numbers, others: Numbers) -> Numbers:
    """Intersection over union, (N, M), of boxes (N, 4) and (M, 4) as x, y, w, h."""
    shared = _shared(ones, others)
    areas = (ones[:, 2] * ones[:, 3])[:, None] + (others[:, 2] * others[:, 3])[None]
    return np.asarray(shared / np.maximum(areas - shared, 1e-9))


def covered(ones: Numbers, others: Numbers) -> Numbers:
    """Which share of each of ``ones`` each of ``others`` covers, (N, M)."""
    return np.asarray(_shared(ones, others) / np.maximum(ones[:, 2] * ones[:, 3], 1e-9)[:, None])


def distances(ones: Numbers, others: Numbers) -> Numbers:
    """Distance of the centres in units of the mean extent of the two boxes, (N, M)."""
    apart = (ones[:, :2] + ones[:, 2:] / 2)[:, None] - (others[:, :2] + others[:, 2:] / 2)[None]
    extents = np.sqrt(ones[:, 2] * ones[:, 3])[:, None] + np.sqrt(others[:, 2] * others[:, 3])[None]
    return np.asarray(np.hypot(apart[..., 0], apart[..., 1]) / np.maximum(extents / 2, 1e-9))


def _shared(ones: Numbers, others: Numbers) -> Numbers:
    low = np.maximum(ones[:, None, :2], others[None, :, :2])
    high = np.minimum((ones[:, :2] + ones[:, 2:])[:, None], (others[:, :2] + others[:, 2:])[None])
    sides = np.maximum(high - low, 0.0)
    return np.asarray(sides[..., 0] * sides[..., 1])
