"""`Seen`: one target in one frame, as videos and tables of boxes take it; and the boxes of ``--box``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from ..engine import Track
from ..vision import Box, parse_box
from ..wire import Status
from .span import Place


@dataclass(frozen=True, slots=True)
class Seen:
    """One target in one frame.

    Attributes:
        target: its number.
        box, score, status: as in a ``Track``.
        label: its class, where a detector said one.
        given: whether the box is one that was given, not found.
    """

    target: int
    box: Box
    score: float
    status: Status
    label: str = ""
    given: bool = False

    @classmethod
    def of(cls, target: int, track: Track) -> Seen:
        """From a session's answer."""
        return cls(target, track.box, track.score, track.status)


@dataclass(frozen=True, slots=True)
class Region:
    """A box, and where in the video it is; None is the first frame."""

    box: Box
    place: Place | None = None

    @classmethod
    def of(cls, text: str) -> Region:
        """From ``x,y,w,h``, ``12.5s:x,y,w,h``, ``1:02:03:x,y,w,h``, ``300:x,y,w,h`` (a frame's number).

        Raises BoxError, OptionError.
        """
        when, colon, box = text.rpartition(":")
        if not colon:
            return cls(parse_box(box))
        if found := re.fullmatch(r"(\d+(?:\.\d+)?)s", when):
            return cls(parse_box(box), Place(None, Fraction(found[1])))
        if when.isdecimal():
            return cls(parse_box(box), Place(int(when), None))
        return cls(parse_box(box), Place.of("the time of --box", when))
