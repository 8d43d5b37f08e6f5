"""When output frames are shown: any factor, any rate, slow motion; exact on any clock, even or not.

Output frame ``k`` stands at a *moment*: between which two source frames, how far from the earlier to the
later one, and when it is shown, in integer ticks of a time base that is chosen so that every tick is exact.

* With a factor, outputs are evenly spread between each two source frames, however far apart these are: the
  k-th output stands at source frame ``k / factor``. Uneven times stay uneven, and with a whole factor every
  source frame is an output.
* With a rate, outputs are evenly spread in time. A source frame within one tick of an output's time is taken
  for it (where a tick is short): containers round times, and 41.667 ms is meant where 42 is written.
* Outputs go from the first source frame to the last one. Where the grid misses the last one, it ends with the
  next grid point, which shows the last frame, unless that is more than a frame later.
* Slow motion stretches all times away from the first frame's.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from .options import InterpolationOptions

_SHORT = Fraction(1, 8)
"""A tick of at most this share of the gap between two frames may be an error of rounding."""


@dataclass(frozen=True, slots=True)
class Moment:
    """An output between two neighbouring source frames.

    Attributes:
        number: of the output, from 0.
        part: how far from the earlier to the later source frame, in (0, 1]; 1 is the later one itself.
        pts: when it is shown, in ticks of the timeline's time base.
    """

    number: int
    part: Fraction
    pts: int


@dataclass(frozen=True, slots=True)
class Source:
    """A source frame's place: its number, and its time in ticks of the source's time base."""

    number: int
    pts: int


class Timeline:
    """The moments of one video; immutable. The caller keeps the number of the next output.

    Args:
        options: factor, rate and slow motion.
        first: pts of the first source frame, in ticks of ``tick``.
        tick: seconds a tick of the source.
    """

    def __init__(self, options: InterpolationOptions, first: int, tick: Fraction) -> None:
        self._tick = tick
        self._start = first * tick
        self._slow = options.slow_motion
        self._steps = options.steps
        self._rate = options.fps
        step = 1 / self._rate if self._rate else self._slow * tick / self._steps.numerator
        self.time_base = common_tick(self._start, step)
        """Seconds a tick of every ``Moment.pts``."""

    def first(self) -> Moment:
        """The first source frame, which is the first output."""
        return Moment(0, Fraction(1), self._ticks(self._start))

    def between(self, earlier: Source, later: Source, following: int) -> Iterator[Moment]:
        """The outputs after ``earlier``, up to ``later`` itself, from the number ``following`` on."""
        number = following
        while (part := self._part(number, earlier, later)) <= 1:
            yield Moment(number, part, self._ticks(self._shown(number, earlier, later)))
            number += 1

    def after(self, earlier: Source, later: Source, following: int) -> int:
        """The first output after ``later``; ``following`` is the first one after ``earlier``."""
        reach = (later.pts * self._tick - self._start) * self._rate * self._slow if self._rate else None
        number = max(following, math.floor(later.number * self._steps if reach is None else reach))
        while self._part(number, earlier, later) <= 1:
            number += 1
        return number

    def shows(self, earlier: Source, later: Source, number: int) -> bool:
        """Whether output ``number`` is ``later`` itself."""
        return self._part(number, earlier, later) == 1

    def begins(self, earlier: Source, later: Source, following: int) -> bool:
        """Whether ``following`` may be the first output after ``earlier``."""
        return self._part(following, earlier, later) > 0 >= self._part(following - 2, earlier, later)

    def end(self, before: Source, last: Source, following: int) -> Moment | None:
        """The output that shows the last source frame, where none of those before ``following`` does."""
        if last.number == 0:
            return None
        if self._part(following - 1, before, last) == 1 or self._part(following, before, last) >= 2:
            return None
        return Moment(following, Fraction(1), self._ticks(self._shown(following, before, last)))

    def _part(self, number: int, earlier: Source, later: Source) -> Fraction:
        """How far output ``number`` lies from ``earlier`` to ``later``: 1 at the latter, more beyond it."""
        if self._rate is None:
            return number / self._steps - earlier.number
        time = self._start + number / (self._rate * self._slow)
        gap = (later.pts - earlier.pts) * self._tick
        part = (time - earlier.pts * self._tick) / gap
        near = self._tick / gap
        return Fraction(1) if near <= _SHORT and abs(part - 1) <= near else part

    def _shown(self, number: int, earlier: Source, later: Source) -> Fraction:
        """When output ``number`` is shown, in seconds."""
        if self._rate is not None:
            return self._start + number / self._rate
        part = number / self._steps - earlier.number
        time = (earlier.pts + part * (later.pts - earlier.pts)) * self._tick
        return self._start + self._slow * (time - self._start)

    def _ticks(self, seconds: Fraction) -> int:
        ticks = seconds / self.time_base
        assert ticks.denominator == 1, f"{seconds} s is no whole number of ticks of {self.time_base} s"
        return ticks.numerator


def common_tick(*times: Fraction) -> Fraction:
    """The longest tick of which all times are whole multiples; at least one must not be 0."""
    denominator = math.lcm(*(time.denominator for time in times))
    return Fraction(math.gcd(*(int(time * denominator) for time in times)), denominator)
