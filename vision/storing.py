"""RGB pictures as an encoder takes them: widened to whole chroma samples, in its pixel format."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from types import MappingProxyType
from typing import Any

import av
import cv2
import numpy as np
from av.video.reformatter import VideoReformatter

from ..errors import OptionError
from .clocks import Palette
from .look import Look
from .pixels import Image, as_uint8, is_deep
from .stored import Stored

_PALETTE = "pal8"
_STORED: Mapping[tuple[bool, int], str] = MappingProxyType(
    {(False, 3): "rgb24", (True, 3): "rgb48le", (False, 4): "rgba", (True, 4): "rgba64le"}
)
"""How frames lie in memory, by depth and number of components."""


class Store:
    """Makes PyAV's frames.

    Args:
        size: of the video, width and height.
        look: of the video.
        scaling: flags of libswscale; None for its own.
    """

    def __init__(self, size: tuple[int, int], look: Look, scaling: int | None) -> None:
        self._width, self._height = size
        self._look, self._scaling = look, scaling
        self._scaler = VideoReformatter()

    def frame(self, image: Image, mask: Image | None, stored: Stored | None = None) -> Any:
        """PyAV's frame of a picture, in the pixel format of the video; ``mask`` is its opacity.

        ``stored`` is the picture as another video stores it, taken as it is where this one stores it so.
        """
        if stored is not None and mask is None and stored.fits(self._look, (self._width, self._height)):
            return stored.frame()
        if mask is not None and self._look.has_alpha:
            image = as_uint8(np.concatenate([image, mask[..., :1]], axis=2))
        down, right = self._height - image.shape[0], self._width - image.shape[1]
        if down or right:
            image = as_uint8(cv2.copyMakeBorder(image, 0, down, 0, right, cv2.BORDER_REPLICATE))
        form = _STORED[is_deep(image), image.shape[2]]
        if self._look.pixel_format in (form, _PALETTE):  # what is kept must not be the caller's
            frame = av.VideoFrame.from_ndarray(image, format=form)
        else:
            frame = av.VideoFrame.from_numpy_buffer(np.ascontiguousarray(image), format=form)
        if self._look.pixel_format == _PALETTE:
            frame = frame.reformat(format="rgb24")
            frame.pts, frame.time_base = 0, Fraction(1, 100)
            return Palette(self._width, self._height).of(frame)
        return self._scaler.reformat(
            frame,
            format=self._look.pixel_format,
            dst_colorspace=None if self._look.is_rgb else self._look.swscale_matrix,
            dst_color_range=self._look.colour_range or 1,
            interpolation=self._scaling,
        )


def chroma_steps(pixel_format: str) -> tuple[int, int]:
    """Pixels across and down that share one colour: what width and height must be multiples of."""
    kind: Any = av.VideoFormat(pixel_format, 16, 16)
    return 16 // (kind.chroma_width() or 16), 16 // (kind.chroma_height() or 16)


def positive_fraction(name: str, value: Fraction | int | float) -> Fraction:
    """A rate or time base as a fraction that FFmpeg can hold."""
    try:
        fraction = Fraction(value).limit_denominator(1_000_000_000)
    except (ValueError, OverflowError):
        fraction = Fraction(0)
    if not 0 < fraction < 2**31:
        raise OptionError(f"The video's {name} is {value}", "Give a positive number, such as 30.")
    return fraction
