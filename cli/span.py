"""Which frames of a video are used: from when, until when, every how many."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Annotated

import typer

from ..errors import OptionError

if TYPE_CHECKING:
    from ..vision import Frame

Start = Annotated[
    str | None,
    typer.Option(
        "--start", metavar="T", help="Begin there: seconds, h:mm:ss.s, or a frame as 120f; --box is in it."
    ),
]
End = Annotated[str | None, typer.Option("--end", metavar="T", help="Stop before it: as --start.")]
Every = Annotated[int, typer.Option("--every", metavar="N", min=1, help="Use only each N-th frame.")]

_FRAME = re.compile(r"(\d+)f")
_TIME = re.compile(r"(?:(?:(\d+):)?(\d+):)?(\d+(?:\.\d+)?)")


@dataclass(frozen=True)
class Place:
    """A frame's number, from 0, or a time in seconds: one of them is None."""

    frame: int | None
    seconds: Fraction | None

    @classmethod
    def of(cls, option: str, text: str | None) -> Place | None:
        """From 12.5, 1:02:03.5 or 120f. Raises OptionError."""
        if text is None:
            return None
        if found := _FRAME.fullmatch(text):
            return cls(int(found[1]), None)
        if found := _TIME.fullmatch(text):
            hours, minutes = (int(part or 0) for part in found.groups()[:2])
            return cls(None, 3600 * hours + 60 * minutes + Fraction(found[3]))
        raise OptionError(
            f"{option} is {text!r}", "Give seconds (12.5), h:mm:ss (1:02:03) or a frame (120f)."
        )

    def is_before(self, frame: Frame) -> bool:
        """Whether a frame is this place or beyond it."""
        if self.frame is not None:
            return frame.index >= self.frame
        assert self.seconds is not None, "one of them is given"
        return frame.pts * frame.time_base >= self.seconds


@dataclass(frozen=True)
class Span:
    """Frames from ``start`` (or the first) until before ``end`` (or the last), each ``every``-th."""

    start: Place | None = None
    end: Place | None = None
    every: int = 1

    @classmethod
    def of(cls, start: str | None, end: str | None, every: int) -> Span:
        """From options as they were typed. Raises OptionError."""
        return cls(Place.of("--start", start), Place.of("--end", end), every)

    @property
    def is_part(self) -> bool:
        """Whether something of the video is cut off."""
        return self.start is not None or self.end is not None

    def frames(self, video: Iterable[Frame]) -> Iterator[Frame]:
        """The frames of the span, as they are.

        Raises:
            OptionError: there is none, by the time the video ends.
        """
        count = 0
        for frame in video:
            if self.end is not None and self.end.is_before(frame):
                break
            if self.start is None or self.start.is_before(frame):
                if count % self.every == 0:
                    yield frame
                count += 1
        if not count:
            raise OptionError(
                "There is no frame from --start until before --end", "Check both against the video's length."
            )
