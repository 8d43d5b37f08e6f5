"""What callers hand over, made into the engine's own types: frames with a time, and boxes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from ..errors import BoxError, FrameError
from ..vision import Box, Frame, Image
from .codec import Count, Ratio, Side

BoxLike = Box | Sequence[float]


@dataclass(frozen=True, slots=True)
class Clock:
    """A frame without its pixels: ``pts`` ticks of ``time_base`` seconds, its index, its size in pixels."""

    pts: Count
    time_base: Ratio
    index: Count
    width: Side
    height: Side

    @classmethod
    def of(cls, frame: Frame | Clock) -> Clock:
        """The clock as it stands at ``frame``."""
        if isinstance(frame, Clock):
            return frame
        height, width = frame.image.shape[:2]
        return cls(frame.pts, frame.time_base, frame.index, width, height)

    @property
    def seconds(self) -> float:
        """Presentation time in seconds."""
        return self.pts * self.time_base.numerator / self.time_base.denominator  # as float(), sooner

    def check(self, frame: Frame) -> None:
        """Raises FrameError unless ``frame`` is later, and of the same size."""
        if (frame.width, frame.height) != (self.width, self.height):
            raise FrameError(
                f"frame {frame.index} is {frame.width}x{frame.height}, "
                f"the first was {self.width}x{self.height}",
                "bring all frames to one size, or start a new session when it changes",
            )
        self.check_time(frame)

    def check_time(self, frame: Frame) -> None:
        """Raises FrameError unless ``frame`` is later."""
        same = frame.time_base is self.time_base
        if frame.pts <= self.pts if same else frame.seconds <= self.seconds:
            raise FrameError(
                f"frame {frame.index} is at {frame.seconds:.4f} s, the last one at {self.seconds:.4f} s",
                "send frames in order, each later than the one before",
            )


def later(one: Clock | None, other: Clock | None) -> Clock | None:
    """The later of two clocks."""
    if one is None or other is None:
        return one or other
    return other if other.seconds >= one.seconds else one


def as_frame(frame: Frame | Image, last: Clock | None, rate: float) -> Frame:
    """A bare image becomes a frame one nominal step of 1 / ``rate`` seconds after the last one."""
    if isinstance(frame, Frame):
        return frame
    if not hasattr(frame, "shape"):
        raise FrameError(
            f"{type(frame).__name__} is no frame", "give a Frame or a uint8 array (height, width, 3)"
        )
    if last is None:
        return Frame(frame, 0, Fraction(1 / rate).limit_denominator(10**9), 0)
    ticks = max(1, round(1 / (rate * float(last.time_base))))
    return Frame(frame, last.pts + ticks, last.time_base, last.index + 1)


def as_box(box: BoxLike) -> Box:
    """Four numbers become a box. Raises BoxError when they are not."""
    if isinstance(box, Box):
        return box
    try:
        return Box(*(float(value) for value in box))
    except (TypeError, ValueError) as error:
        raise BoxError(f"{box!r} is no box ({error})", "give four numbers: x, y, w, h in pixels") from error
