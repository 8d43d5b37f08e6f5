"""`Frame`: one picture of a video with its place in time."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from ..errors import FrameError
from .pixels import Image, check_image
from .stored import Stored


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Frame:
    """One RGB picture, uint8 (or uint16) of (height, width, 3), shown at ``pts * time_base`` seconds.

    Attributes:
        image: the pixels; shared, not copied, so treat them as read-only.
        pts: presentation time in ticks of ``time_base``, 0 or more.
        time_base: seconds a tick.
        index: how many frames were delivered before this one.
        stored: the picture as its video stores it, where the reader was asked to keep that.

    Raises:
        FrameError: any of these has the wrong type, shape or range.
    """

    image: Image
    pts: int
    time_base: Fraction
    index: int
    stored: Stored | None = None

    def __post_init__(self) -> None:
        check_image(self.image, deep=True)
        for name, value in (("pts", self.pts), ("index", self.index)):
            if not isinstance(value, int) or value < 0:
                raise FrameError(
                    f"The frame's {name} is {value!r}, and must be an integer of 0 or more",
                    "Shift the times so that they start at 0, or number the frames 0, 1, 2.",
                )
        if not isinstance(self.time_base, Fraction) or self.time_base <= 0:
            raise FrameError(
                f"The frame's time base is {self.time_base!r}, and must be a positive Fraction",
                "Give the seconds a tick, such as Fraction(1, 30).",
            )

    @property
    def seconds(self) -> float:
        """Presentation time in seconds."""
        return self.pts * self.time_base.numerator / self.time_base.denominator  # as float(), sooner

    @property
    def width(self) -> int:
        """Pixels across."""
        return int(self.image.shape[1])

    @property
    def height(self) -> int:
        """Pixels down."""
        return int(self.image.shape[0])

    def __repr__(self) -> str:
        return (
            f"Frame({self.width}x{self.height}, pts={self.pts}, time_base={self.time_base}, "
            f"seconds={self.seconds:.3f}, index={self.index})"
        )
