"""What a user asks of an interpolation: how many frames, how fast, at which size."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from ...errors import OptionError
from ..codec import Ratio

Number = int | float | str | Fraction
Scale = Literal["auto"] | float

SCALES: tuple[float, ...] = (1.0, 0.5, 0.25)
"""Sizes at which motion may be estimated, as shares of the frame's."""
MOST_FACTOR = 256
MOST_FPS = 1000
_NTSC = 1001


@dataclass(frozen=True)
class InterpolationOptions:
    """How a session turns frames into more frames. Times are in seconds, pixels in those of the frame.

    Attributes:
        factor: frames out for each frame in, at least 1; a fraction is fine (5/2). None follows from the
            others: ``slow_motion`` where that is given, else 2.
        fps: an even rate of the output instead of a factor.
        slow_motion: how many times slower the video plays; 1 leaves its speed.
        scale: at which size motion is estimated: 1, 0.5, 0.25, or "auto", which chooses by the frame's size.
        cuts: find scene cuts, across which nothing is blended.
        duplicates: find duplicate frames, between which nothing has to be made.
        longest_gap: two frames further apart in time than this (before slow motion) are held, not blended:
            what happened in between is anybody's guess.
        tile_pixels: most pixels the model sees at once; a larger frame goes through in tiles.
        overlap: pixels by which neighbouring tiles overlap, at least.
        lookahead: answer one frame later, so that the pair after one tells of its motion, too, where the
            model asks for that: made frames are better.

    Raises:
        OptionError: a number is out of range, or two options contradict each other.
    """

    factor: Ratio | None = None
    fps: Ratio | None = None
    slow_motion: Ratio = Fraction(1)
    scale: Scale = "auto"
    cuts: bool = True
    duplicates: bool = True
    longest_gap: float = 1.0
    tile_pixels: int = 2048 * 1152
    overlap: int = 128
    lookahead: bool = False

    def __post_init__(self) -> None:
        if self.factor is not None and self.fps is not None:
            raise OptionError(
                f"factor is {self.factor} and fps is {self.fps}, and one rules out the other",
                "give one of them",
            )
        _check("factor", self.factor, 1, MOST_FACTOR)
        _check("fps", self.fps, Fraction(1, 1000), MOST_FPS)
        _check("slow_motion", self.slow_motion, 1, MOST_FACTOR)
        if self.scale != "auto" and self.scale not in SCALES:
            raise OptionError(f"scale is {self.scale!r}", "choose auto, 1, 0.5 or 0.25")
        if not (math.isfinite(self.longest_gap) and self.longest_gap > 0):
            raise OptionError(f"longest_gap is {self.longest_gap}", "give seconds, more than 0")
        if any(type(flag) is not bool for flag in (self.cuts, self.duplicates, self.lookahead)):
            raise OptionError("cuts, duplicates or lookahead is neither true nor false", "give one of them")
        if self.tile_pixels < 128 * 128 or not 0 <= self.overlap <= 1024:
            raise OptionError(
                f"tile_pixels is {self.tile_pixels} and overlap is {self.overlap}",
                "give at least 16384 pixels a tile, and an overlap from 0 to 1024",
            )

    @classmethod
    def of(
        cls,
        factor: Number | None = None,
        fps: Number | None = None,
        slow_motion: Number | None = None,
        scale: Number = "auto",
        *,
        cuts: bool = True,
        duplicates: bool = True,
        lookahead: bool = False,
    ) -> InterpolationOptions:
        """From numbers in whatever form they came. Raises OptionError."""
        return cls(
            factor=None if factor is None else as_fraction("factor", factor),
            fps=None if fps is None else as_rate("fps", fps),
            slow_motion=Fraction(1) if slow_motion is None else as_fraction("slow_motion", slow_motion),
            scale=as_scale(scale),
            cuts=cuts,
            duplicates=duplicates,
            lookahead=lookahead,
        )

    @property
    def steps(self) -> Fraction:
        """Frames out for each frame in, where no rate is asked for."""
        if self.factor is not None:
            return self.factor
        return self.slow_motion if self.slow_motion > 1 else Fraction(2)


def as_fraction(name: str, value: Number) -> Fraction:
    """A number or a text such as 2, 2.5 or 5/2, exactly. Raises OptionError."""
    try:
        found = Fraction(value).limit_denominator(1000) if isinstance(value, float) else Fraction(value)
    except (ValueError, TypeError, OverflowError, ZeroDivisionError):
        raise OptionError(f"{name} is {value!r}", "give a number, such as 2, 2.5 or 5/2") from None
    if found.denominator > 1_000_000:
        raise OptionError(f"{name} is {value!r}, which is finer than any clock", "give fewer digits")
    return found


def as_rate(name: str, value: Number) -> Fraction:
    """Frames a second; 23.976, 29.97 and their like are taken for 24000/1001, 30000/1001 and so on."""
    found = as_fraction(name, value)
    if found.denominator not in (1, _NTSC):
        nominal = round(found * _NTSC / 1000)
        broadcast = Fraction(1000 * nominal, _NTSC)
        if abs(found - broadcast) < Fraction(1, 200) and nominal % 6 == 0:
            return broadcast
    return found


def as_scale(value: Number) -> Scale:
    """``auto`` or one of ``SCALES``. Raises OptionError."""
    if value == "auto":
        return "auto"
    try:
        scale = float(value)
    except (ValueError, TypeError, OverflowError):
        scale = math.nan
    if scale not in SCALES:
        raise OptionError(f"scale is {value!r}", "choose auto, 1, 0.5 or 0.25")
    return scale


def _check(name: str, value: Fraction | None, least: Fraction | int, most: int) -> None:
    if value is not None and not (isinstance(value, Fraction) and least <= value <= most):
        raise OptionError(f"{name} is {value}", f"give a number from {least} to {most}")
