"""Where the target stands in a crop: one similarity-with-aspect transform from a source picture to a view.

Glossary
    points   (N, 2) float, outline of the target in the source picture, x then y
    linear   (2, 2) rotation, aspect and mirror, without scale
    matrix   (2, 3) source picture -> crop, as cv2.warpAffine takes it
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from ...vision.pixels import as_uint8

Array = npt.NDArray[np.float64]
Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Pose:
    """The target in one view. Angles in radians; ``centre`` and ``extent`` in crop pixels."""

    angle: float
    aspect: float  # multiplies width and divides height
    mirror: bool
    centre: tuple[float, float]
    extent: float  # sqrt(width * height) of the target's box in the crop


def place(points: Array, pose: Pose) -> tuple[Array, Array]:
    """The matrix (2, 3) that puts an outline (N, 2) at a pose, and the box x, y, w, h that it has there."""
    c, s = np.cos(pose.angle), np.sin(pose.angle)
    linear = np.diag([pose.aspect, 1 / pose.aspect]) @ np.array([[c, -s], [s, c]])
    if pose.mirror:
        linear = linear @ np.diag([-1.0, 1.0])
    turned = points @ linear.T
    low, high = turned.min(0), turned.max(0)
    width, height = np.maximum(high - low, 1.0)
    scale = pose.extent / np.sqrt(width * height)
    shift = np.asarray(pose.centre) - scale * (low + high) / 2
    matrix = np.concatenate([scale * linear, shift[:, None]], axis=1)
    size = scale * np.array([width, height])
    return matrix, np.concatenate([np.asarray(pose.centre) - size / 2, size])


def warp(image: Pixels, matrix: Array, size: int, border: int = cv2.BORDER_CONSTANT) -> Pixels:
    """The crop (size, size, channels) of a picture under a matrix; shrinking is smoothed first."""
    shrink = np.sqrt(abs(np.linalg.det(matrix[:, :2])))
    if shrink < 0.6:  # an integer pre-shrink, or warpAffine would alias
        step = max(1, round(1 / shrink))
        height, width = image.shape[:2]
        if step > 1 and min(height, width) // step >= 2:
            image = as_uint8(cv2.resize(image, (width // step, height // step), interpolation=cv2.INTER_AREA))
            ratio = np.array([width / (width // step), height / (height // step)])
            matrix = np.concatenate([matrix[:, :2] * ratio, matrix[:, 2:]], axis=1)
    return as_uint8(cv2.warpAffine(image, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=border))


def background(image: Pixels, rng: np.random.Generator, size: int) -> tuple[Pixels, Array]:
    """A random zoom into a picture, and the matrix that made it."""
    height, width = image.shape[:2]
    zoom = size / min(height, width) * np.exp(rng.uniform(-0.4, 0.9))
    angle = rng.normal(0, 0.2)
    cos, sin = zoom * np.cos(angle), zoom * np.sin(angle)
    middle = np.array([rng.uniform(0.25, 0.75) * width, rng.uniform(0.25, 0.75) * height])
    linear = np.array([[cos, -sin], [sin, cos]])
    matrix = np.concatenate([linear, (size / 2 - linear @ middle)[:, None]], axis=1)
    return warp(image, matrix, size, cv2.BORDER_REFLECT_101), matrix


def paste(backdrop: Pixels, cut_out: Pixels, matrix: Array) -> Pixels:
    """Lays an RGBA cut-out over a square view under a matrix (2, 3)."""
    layer = warp(cut_out, matrix, backdrop.shape[0])
    alpha = layer[..., 3:].astype(np.uint16)
    mixed = (backdrop * (255 - alpha) + layer[..., :3] * alpha + 127) // 255
    return mixed.astype(np.uint8)


def outline(region: npt.NDArray[np.bool_]) -> Array:
    """The convex hull of a region's pixels as (N, 2) points."""
    ys, xs = np.nonzero(region)
    hull = cv2.convexHull(np.stack([xs, ys], axis=1).astype(np.int32))
    return hull[:, 0, :].astype(np.float64)


def ellipse(x: float, y: float, width: float, height: float, points: int = 16) -> Array:
    """An outline for a box without a mask: its inscribed ellipse, so that a turn does not blow the box up."""
    turn = np.linspace(0, 2 * np.pi, points, endpoint=False)
    return np.stack([x + width / 2 * (1 + np.cos(turn)), y + height / 2 * (1 + np.sin(turn))], axis=1)
