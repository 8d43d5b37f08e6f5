"""What a `BoxFilter` believes, as a plain value: four axes, an anchor, and how often it saw nothing."""

from __future__ import annotations

import math
from typing import NamedTuple

from ...errors import StateError
from ..codec import DAMAGED, Count
from .axis import Axis, Number

MIN_SIDE = 1.0
"""Sizes, measured or predicted, never fall below one pixel."""

Anchor = tuple[Number, Number, Number, Number, Number]


class Belief(NamedTuple):
    """All that a frame changes in a filter.

    Attributes:
        axes: of cx, cy, w and h.
        anchor: cx, cy, w, h after the last accepted measurement, and how far a prediction may stray, in
            pixels.
        missed: measurements missed in a row.
    """

    axes: tuple[Axis, Axis, Axis, Axis]
    anchor: Anchor
    missed: Count

    def check(self) -> Belief:
        """The same, if a filter can go on from it. Raises StateError."""
        for axis in self.axes:
            if not (axis.vv > 0 and axis.dd > 0 and axis.vv * axis.dd > axis.vd**2):
                raise StateError("the covariance of a filter is not positive definite", DAMAGED)
            if not all(math.isfinite(value) for value in axis):
                raise StateError("a filter holds a number that is not finite", DAMAGED)
        sides = self.axes[2].value, self.axes[3].value, self.anchor[2], self.anchor[3]
        if min(sides) < MIN_SIDE or self.anchor[4] < 0:
            raise StateError(f"a size in a filter is below {MIN_SIDE} pixel", DAMAGED)
        return self
