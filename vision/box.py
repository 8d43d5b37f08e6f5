"""`Box`: the one box convention of Framestate: pixels, top-left corner, width and height, floats.

Pixel ``i`` covers the interval ``[i, i + 1)``, so ``Box(0, 0, 640, 480)`` covers a whole 640 x 480 image.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..errors import BoxError

_FORM = "Give a box as x,y,w,h in pixels: the top-left corner, then a positive width and height."


@dataclass(frozen=True, slots=True)
class Box:
    """An axis-aligned rectangle: ``x, y`` is the top-left corner, ``w, h`` the size, all in pixels.

    Building one checks nothing, so that a target that is absent can be written with NaNs;
    `check` says whether a box can be used on a given frame.
    """

    x: float
    y: float
    w: float
    h: float

    @classmethod
    def from_centre(cls, cx: float, cy: float, w: float, h: float) -> Box:
        """The box of size ``w, h`` around the centre ``cx, cy``."""
        return cls(cx - w / 2, cy - h / 2, w, h)

    @classmethod
    def from_xyxy(cls, left: float, top: float, right: float, bottom: float) -> Box:
        """The box between two opposite corners."""
        return cls(left, top, right - left, bottom - top)

    @property
    def centre(self) -> tuple[float, float]:
        """Centre ``(cx, cy)`` in pixels."""
        return self.x + self.w / 2, self.y + self.h / 2

    @property
    def area(self) -> float:
        """Area in square pixels; 0 where a side is negative."""
        return max(self.w, 0.0) * max(self.h, 0.0)

    @property
    def xyxy(self) -> tuple[float, float, float, float]:
        """Corners ``(left, top, right, bottom)`` in pixels."""
        return self.x, self.y, self.x + self.w, self.y + self.h

    @property
    def xywh(self) -> tuple[float, float, float, float]:
        """The four numbers ``(x, y, w, h)`` as a tuple."""
        return self.x, self.y, self.w, self.h

    @property
    def is_finite(self) -> bool:
        """True when no number is NaN or infinite."""
        finite = math.isfinite
        return finite(self.x) and finite(self.y) and finite(self.w) and finite(self.h)

    def intersection(self, other: Box) -> float:
        """Area shared with ``other``, in square pixels; 0 where either box is not finite."""
        if not (self.is_finite and other.is_finite):
            return 0.0
        width = min(self.x + self.w, other.x + other.w) - max(self.x, other.x)
        height = min(self.y + self.h, other.y + other.h) - max(self.y, other.y)
        return max(width, 0.0) * max(height, 0.0)

    def iou(self, other: Box) -> float:
        """Intersection over union, in [0, 1]; 0 for empty boxes and for boxes that are not finite."""
        shared = self.intersection(other)
        if shared <= 0.0:
            return 0.0
        return min(shared / (self.area + other.area - shared), 1.0)

    def clipped(self, width: float, height: float) -> Box:
        """The part inside a frame of ``width, height``; a box outside has size 0 on the nearest edge."""
        left, right = (min(max(value, 0.0), width) for value in (self.x, self.x + self.w))
        top, bottom = (min(max(value, 0.0), height) for value in (self.y, self.y + self.h))
        return Box.from_xyxy(left, top, right, bottom)

    def scaled(self, sx: float, sy: float | None = None) -> Box:
        """The same box on an image resized by ``sx`` across and ``sy`` (default ``sx``) down."""
        sy = sx if sy is None else sy
        return Box(self.x * sx, self.y * sy, self.w * sx, self.h * sy)

    def check(self, width: int, height: int) -> Box:
        """Return the box if it can be used on a frame of ``width, height`` pixels.

        One that is wider or higher than the frame is clipped to it first, so that its centre is that of what
        can be seen; any other may reach over the edge, as targets do.

        Raises:
            BoxError: a number is not finite, a side is not positive, or less than one
                square pixel of the box lies inside the frame.
        """
        if not self.is_finite:
            raise BoxError(f"The box {self} has a number that is not finite", _FORM)
        if self.w <= 0 or self.h <= 0:
            raise BoxError(f"The box {self} has a side that is not positive", _FORM)
        if self.intersection(Box(0.0, 0.0, width, height)) < 1.0:
            raise BoxError(
                f"The box {self} covers less than one pixel of the {width} x {height} frame",
                f"Choose a box that overlaps x 0 to {width} and y 0 to {height}.",
            )
        return self.clipped(width, height) if self.w > width or self.h > height else self

    def __str__(self) -> str:
        return ",".join(f"{value:g}" for value in self.xywh)


def parse_box(text: str) -> Box:
    """Read ``"x,y,w,h"`` (pixels; spaces around the numbers are fine).

    Raises:
        BoxError: not four numbers, a number that is not finite, or a side that is not positive.
    """
    parts = text.split(",")
    if len(parts) != 4:
        raise BoxError(f"{text!r} has {len(parts)} comma-separated parts, and a box has four", _FORM)
    try:
        box = Box(*(float(part) for part in parts))
    except ValueError:
        raise BoxError(f"{text!r} holds something that is not a number", _FORM) from None
    if not box.is_finite:
        raise BoxError(f"{text!r} has a number that is not finite", _FORM)
    if box.w <= 0 or box.h <= 0:
        raise BoxError(f"{text!r} has a side that is not positive", _FORM)
    return box
