"""A picture as its video stores it, beside the RGB that is made of it: to be stored again as it is."""

from __future__ import annotations

from typing import Any, NamedTuple, Self

import av
import numpy as np
import numpy.typing as npt

from .look import Look

_FORMATS = frozenset({"yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le"})
"""Pictures in other formats are made of RGB."""
_UNSAID = 2  # "unspecified", of colour tags


class Stored(NamedTuple):
    """A decoded picture's own planes.

    Attributes:
        planes: brightness and the two colours, (height, width) each; nobody changes them.
        pixel_format: as FFmpeg names it.
        size: width and height.
        matrix, colour_range: its tags; 2 and 0 are "not said".
    """

    planes: tuple[npt.NDArray[Any], ...]
    pixel_format: str
    size: tuple[int, int]
    matrix: int
    colour_range: int

    @classmethod
    def of(cls, frame: Any) -> Self | None:
        """A copy of what PyAV's decoded ``frame`` holds; None where that cannot be stored as it is."""
        name = str(frame.format.name)
        if name not in _FORMATS:
            return None
        planes = tuple(_plane(one, name).copy() for one in frame.planes)
        return cls(
            planes, name, (int(frame.width), int(frame.height)), int(frame.colorspace), int(frame.color_range)
        )

    def fits(self, look: Look, size: tuple[int, int]) -> bool:
        """Whether a video of such a look and size, width and height, can hold it as it is."""
        same_colours = self.matrix in (_UNSAID, look.matrix) and self.colour_range in (0, look.colour_range)
        return (self.pixel_format, self.size) == (look.pixel_format, size) and same_colours

    def frame(self) -> Any:
        """PyAV's frame of it."""
        frame: Any = av.VideoFrame(*self.size, self.pixel_format)
        for plane, own in zip(frame.planes, self.planes, strict=True):
            _plane(plane, self.pixel_format)[...] = own
        return frame


def _plane(plane: Any, pixel_format: str) -> npt.NDArray[Any]:
    """The memory of a plane as (height, width)."""
    samples = np.frombuffer(plane, np.uint16 if pixel_format.endswith("10le") else np.uint8)
    wide = plane.line_size // samples.itemsize
    return samples[: plane.height * wide].reshape(plane.height, wide)[:, : plane.width]
