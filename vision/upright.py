"""Display matrices: how a picture has to be turned and mirrored to stand upright."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from av.sidedata.sidedata import Type

from .pixels import Image, as_uint8


@dataclass(frozen=True, slots=True)
class Orientation:
    """Transposed first (rows become columns), then mirrored left to right, then top to bottom."""

    transposed: bool = False
    mirrored: bool = False
    flipped: bool = False

    @classmethod
    def of(cls, side_data: Mapping[Any, Any]) -> Orientation | None:
        """What the side data of a decoded frame says; None where it says nothing."""
        data = side_data.get(Type.DISPLAYMATRIX)
        if data is None:
            return None
        # Rows of (a, b, u), (c, d, v), (x, y, w): a point (p, q) is shown at (a p + c q, b p + d q).
        a, b, _, c, d = np.frombuffer(bytes(data), np.int32)[:5].astype(int).tolist()
        if abs(a) + abs(d) >= abs(b) + abs(c):
            return cls(False, a < 0, d < 0)
        return cls(True, c < 0, b < 0)

    def upright(self, image: Image) -> Image:
        """The picture as it is meant to be seen."""
        if self.transposed:
            image = as_uint8(cv2.transpose(image))
        if self.mirrored or self.flipped:
            way = -1 if self.mirrored and self.flipped else int(self.mirrored)
            image = as_uint8(cv2.flip(image, way))
        return image
