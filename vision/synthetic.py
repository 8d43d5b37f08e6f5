"""The demo clip: a koi over a pond bed, with the exact truth at any moment, made from nothing but maths.

The target turns, grows and shrinks, and passes once under a lily pad, while the camera drifts and a second
koi of the same kind swims near by. Everything is rigid and every place is a smooth function of time, so a
frame can be rendered at any real-valued time, such as half-way between two frames.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from ..errors import OptionError
from .box import Box
from .pixels import Image
from .textures import Plane, as_plane, koi, lily_pad, pond_bed

_TURN = 2 * math.pi
_PERIOD = 160.0  # frames for one round of the target


@dataclass(frozen=True, slots=True)
class _Sprite:
    """A cut-out picture: premultiplied RGBA, (H, W, 4), and the points of its outline, (N, 2), in pixels."""

    picture: Plane
    outline: npt.NDArray[np.float64]

    @classmethod
    def of(cls, picture: Plane) -> _Sprite:
        solid = (picture[..., 3] > 0.5).astype(np.uint8)
        points = np.concatenate([*cv2.findContours(solid, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]])
        return cls(picture, cv2.convexHull(points)[:, 0].astype(np.float64))

    def placed(self, x: float, y: float, angle: float, scale: float) -> npt.NDArray[np.float64]:
        """The 2 x 3 matrix that puts the sprite's middle at ``x, y``, in continuous coordinates."""
        cos, sin = scale * math.cos(angle), scale * math.sin(angle)
        cx, cy = self.picture.shape[1] / 2, self.picture.shape[0] / 2
        return np.array([[cos, -sin, x - cos * cx + sin * cy], [sin, cos, y - sin * cx - cos * cy]])

    def box(self, matrix: npt.NDArray[np.float64]) -> Box:
        """The exact bounds of the placed outline."""
        points = (self.outline + 0.5) @ matrix[:, :2].T + matrix[:, 2]
        reach = 0.5 * math.hypot(*matrix[:, 0])  # the outline runs through the middles of its pixels
        (left, top), (right, bottom) = points.min(0) - reach, points.max(0) + reach
        return Box.from_xyxy(float(left), float(top), float(right), float(bottom))


class Scene:
    """A small world that can be looked at at any time ``t``, in frames.

    Args:
        seed: chooses textures and places; the same seed always gives the same scene.
        frames: length of the clip; the target passes under a leaf at 0.55 of it.
        size: width and height of the picture, 64 or more each.

    Raises:
        OptionError: fewer than one frame, or a side under 64 pixels.
    """

    def __init__(self, seed: int = 0, frames: int = 120, size: tuple[int, int] = (640, 360)) -> None:
        self.width, self.height = size
        if frames < 1 or min(size) < 64:
            raise OptionError(
                f"A demo clip of {frames} frames of {size[0]} x {size[1]} pixels is impossible",
                "Ask for at least 1 frame of at least 64 x 64 pixels.",
            )
        rng = np.random.default_rng(seed)
        self._unit = min(self.width / 640, self.height / 360)
        self._margin = round(40 * self._unit) + 2
        length = round(150 * self._unit)
        self._bed = pond_bed(
            rng, self.height + 2 * self._margin, self.width + 2 * self._margin, 15 * self._unit
        )
        self._target = _Sprite.of(koi(rng, length, (0.88, 0.30, 0.08)))
        self._rival = _Sprite.of(koi(rng, length, (0.80, 0.42, 0.10)))
        self._leaf = _Sprite.of(lily_pad(rng, round(74 * self._unit)))
        self._sides = rng.choice((-1.0, 1.0), 2)
        self._phase = rng.uniform(0, _TURN, 3)
        self._hidden_at = 0.55 * frames
        self._leaves = self._lay_leaves(rng)

    def render(self, t: float) -> Image:
        """The picture at time ``t``: RGB uint8 (height, width, 3)."""
        dx, dy = self._camera(t)
        shift = np.array([[1.0, 0.0, self._margin - dx], [0.0, 1.0, self._margin - dy]])
        size = (self.width, self.height)
        canvas = as_plane(
            cv2.warpAffine(self._bed, shift, size, flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
        )
        for sprite, matrix in ((self._rival, self._rival_place(t)), (self._target, self._target_place(t))):
            _lay(canvas, sprite.picture, matrix, shadow=7 * self._unit)
        for matrix in self._leaf_places(t):
            _lay(canvas, self._leaf.picture, matrix, shadow=12 * self._unit)
        return np.rint(np.clip(canvas, 0, 1) * 255).astype(np.uint8)

    def box(self, t: float) -> Box:
        """The bounds of the whole target at time ``t``, hidden parts included, to a fraction of a pixel."""
        return self._target.box(self._target_place(t))

    def rival_box(self, t: float) -> Box:
        """The bounds of the second koi, which is not to be followed."""
        return self._rival.box(self._rival_place(t))

    def visible(self, t: float) -> float:
        """The share of the target, 0 to 1, that lies in the picture and under no leaf at time ``t``."""
        matrix = self._target_place(t)
        box = self._target.box(matrix)
        left, top = math.floor(box.x) - 1, math.floor(box.y) - 1
        size = (math.ceil(box.w) + 3, math.ceil(box.h) + 3)
        cover = _seen(self._target.picture[..., 3], matrix, left, top, size)
        shown = cover.copy()
        for place in self._leaf_places(t):
            shown *= 1 - _seen(self._leaf.picture[..., 3], place, left, top, size)
        rows = np.arange(top, top + size[1])[:, None]
        columns = np.arange(left, left + size[0])[None]
        shown *= (rows >= 0) & (rows < self.height) & (columns >= 0) & (columns < self.width)
        return float(shown.sum() / cover.sum())

    def _camera(self, t: float) -> tuple[float, float]:
        """How far the bed has moved across the picture, in pixels, never past the margin."""
        reach = 36 * self._unit
        later = t - self._hidden_at  # at rest when the target is hidden, so that the leaf does not go with it
        return (
            reach * self._sides[0] * math.cos(_TURN * later / 110),
            0.6 * reach * self._sides[1] * math.cos(_TURN * later / 90),
        )

    def _target_place(self, t: float) -> npt.NDArray[np.float64]:
        a, b = self._phase[0], self._phase[1]

        def place(t: float) -> tuple[float, float]:
            turn = _TURN * t / _PERIOD + a
            x = 0.5 + 0.27 * math.cos(turn) + 0.03 * math.sin(2 * turn + b)
            y = 0.5 + 0.22 * math.sin(turn) + 0.03 * math.cos(2 * turn + b)
            return x * self.width, y * self.height

        scale = 0.86 + 0.2 * math.sin(_TURN * t / 110 + self._phase[2])
        return self._target.placed(*place(t), _heading(place, t), scale)

    def _rival_place(self, t: float) -> npt.NDArray[np.float64]:
        a = self._phase[0] + 2.3

        def place(t: float) -> tuple[float, float]:
            turn = _TURN * t / (1.3 * _PERIOD) + a
            return self.width * (0.5 + 0.36 * math.cos(turn)), self.height * (0.5 + 0.33 * math.sin(turn))

        return self._rival.placed(*place(t), _heading(place, t), 0.85)

    def _lay_leaves(self, rng: np.random.Generator) -> list[tuple[float, float, float, float]]:
        """Each leaf's place on the bed, angle and scale: one over the target's way, the rest at the edges."""
        matrix = self._target_place(self._hidden_at)
        middle = self._target.box(matrix).centre
        dx, dy = self._camera(self._hidden_at)
        leaves = [(middle[0] - dx, middle[1] - dy, float(rng.uniform(0, _TURN)), 1.0)]
        for x, y in ((0.02, 0.95), (0.13, 1.04), (0.99, 0.04), (0.9, -0.05)):
            angle, scale = float(rng.uniform(0, _TURN)), float(rng.uniform(0.7, 1.1))
            leaves.append((x * self.width, y * self.height, angle, scale))
        return leaves

    def _leaf_places(self, t: float) -> list[npt.NDArray[np.float64]]:
        dx, dy = self._camera(t)
        return [self._leaf.placed(x + dx, y + dy, angle, scale) for x, y, angle, scale in self._leaves]


def demo_clip(
    seed: int = 0, frames: int = 120, size: tuple[int, int] = (640, 360)
) -> Iterator[tuple[Image, Box, float]]:
    """The frames of `Scene` at ``t`` = 0, 1, ...: the picture, the target's true box, and its visible share.

    Raises:
        OptionError: fewer than one frame, or a side under 64 pixels.
    """
    scene = Scene(seed, frames, size)
    for t in range(frames):
        yield scene.render(t), scene.box(t), scene.visible(t)


def _heading(place: Callable[[float], tuple[float, float]], t: float) -> float:
    """The angle of travel, in radians."""
    (x0, y0), (x1, y1) = place(t - 0.5), place(t + 0.5)
    return math.atan2(y1 - y0, x1 - x0)


def _seen(plane: Plane, matrix: npt.NDArray[np.float64], left: int, top: int, size: tuple[int, int]) -> Plane:
    """A sprite's plane as it falls on the window of ``size`` pixels at ``left, top``."""
    # From continuous coordinates to OpenCV's, which count from the middles of pixels.
    offset = matrix[:, 2] + matrix[:, :2] @ (0.5, 0.5) - 0.5 - (left, top)
    return as_plane(cv2.warpAffine(plane, np.column_stack([matrix[:, :2], offset]), size))


def _lay(canvas: Plane, picture: Plane, matrix: npt.NDArray[np.float64], shadow: float) -> None:
    """Lay a sprite over the canvas, above its soft shadow."""
    height, width = canvas.shape[:2]
    corners = np.array([(x, y, 1) for x in (0, picture.shape[1]) for y in (0, picture.shape[0])]) @ matrix.T
    pad = math.ceil(2 * shadow) + 2
    left, top = (max(math.floor(value) - pad, 0) for value in corners.min(0))
    right = min(math.ceil(corners[:, 0].max()) + pad, width)
    bottom = min(math.ceil(corners[:, 1].max()) + pad, height)
    if left >= right or top >= bottom:
        return
    size = (right - left, bottom - top)
    area = canvas[top:bottom, left:right]
    dark = matrix.copy()
    dark[:, 2] += shadow * 0.7
    area *= (
        1
        - 0.45
        * cv2.GaussianBlur(_seen(picture[..., 3], dark, left, top, size), (0, 0), shadow / 3)[..., None]
    )
    layer = _seen(picture, matrix, left, top, size)
    area *= 1 - layer[..., 3:]
    area += layer[..., :3]
