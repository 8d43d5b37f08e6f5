"""`Piece`: the pixels that a crop needs, cut out of the frame but not resized yet, for resizing elsewhere."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .crop import SquareCrop, cut, density, halved, is_on_pixels
from .pixels import Image, check_image

MOST_DENSE = 4
"""Samples a side of an output pixel, beyond which a crop is better resized where it is cut."""


@dataclass(frozen=True, eq=False)
class Piece:
    """What ``cut`` would resize: a square of whole pixels, of which only a part may lie in the frame.

    Attributes:
        pixels: that part, RGB uint8 (h, w, 3): a view of the frame, unless it was halved.
        left, top: its place in the square, in pixels; zeros are all around it.
        side: of the square, in pixels.
        size: of the crop that it is to become.
        dense: samples a side of an output pixel, which are averaged.
    """

    pixels: Image
    left: int
    top: int
    side: int
    size: int
    dense: int

    @classmethod
    def of(cls, image: Image, crop: SquareCrop) -> Piece:
        """The piece of a crop, halved as ``cut`` does. What is not on whole pixels is cut and resized here.

        Raises FrameError: the image is not uint8 of shape (H, W, 3).
        """
        height, width = check_image(image).shape[:2]
        covered = crop.box.clipped(width, height)
        if covered.area == 0.0 or not is_on_pixels(crop, covered):
            return cls.ready(cut(image, crop))
        part = halved(image, crop, covered)
        dense = density(part.side, crop.size)
        if dense > MOST_DENSE:
            return cls.ready(cut(image, crop))
        return cls(*part, crop.size, dense)

    @classmethod
    def ready(cls, view: Image) -> Piece:
        """A crop that has its size already, (size, size, 3): resizing leaves it as it is."""
        size = len(view)
        return cls(np.ascontiguousarray(view), 0, 0, size, size, 1)
