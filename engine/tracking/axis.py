"""One axis of a box's filter: a value and its velocity, five plain floats; NumPy costs more on so few.

Glossary:
    vv, vd, dd  variance of the value, covariance of value and velocity, variance of the velocity (its drift).
"""

from __future__ import annotations

import math
from typing import Annotated, NamedTuple

from pydantic import Field

Number = Annotated[float, Field(ge=-1e15, le=1e15)]
"""Every variance that a filter allows for boxes of up to a million pixels is below."""


class Axis(NamedTuple):
    """What is believed of one of cx, cy, w, h: pixels, and pixels a nominal frame."""

    value: Number
    velocity: Number
    vv: Number
    vd: Number
    dd: Number

    def moved(self, dt: float, walk: float, drift: float) -> Axis:
        """``dt`` later; a frame adds ``walk`` to the value's variance, ``drift`` to the velocity's."""
        value, velocity, vv, vd, dd = self
        return _made(
            Axis,
            (
                value + dt * velocity,
                velocity,
                vv + dt * (2 * vd + dt * dd) + dt * walk + dt**3 / 3 * drift,
                vd + dt * dd + dt**2 / 2 * drift,
                dd + dt * drift,
            ),
        )

    def corrected(self, measured: float, trust: float, least: float = -math.inf) -> Axis:
        """After a measurement of variance ``trust``; Joseph's form, which rounding cannot make negative.

        The value is held at ``least`` or above.
        """
        value, velocity, vv, vd, dd = self
        gain, gain_d = vv / (vv + trust), vd / (vv + trust)
        left, residual = 1 - gain, measured - value
        return _made(
            Axis,
            (
                max(value + gain * residual, least),
                velocity + gain_d * residual,
                left * left * vv + gain * gain * trust,
                left * (vd - gain_d * vv) + gain * gain_d * trust,
                dd - gain_d * (2 * vd - gain_d * vv) + gain_d * gain_d * trust,
            ),
        )

    def distance(self, measured: float, trust: float) -> float:
        """Squared Mahalanobis distance of a measurement of variance ``trust``."""
        return (measured - self.value) ** 2 / (self.vv + trust)

    def loosened(self, inflation: float, decay: float) -> Axis:
        """The value's variance inflated, not that of the velocity, of which a jump says little."""
        value, velocity, vv, vd, dd = self
        return Axis(value, velocity * decay, vv * inflation, vd * math.sqrt(inflation), dd)

    def bounded(self, value: float, most_vv: float, most_dd: float) -> Axis:
        """At another value, with variances below their ceilings; correlations stay as they are."""
        own, velocity, vv, vd, dd = self
        if vv > most_vv or dd > most_dd:
            shrink, shrink_d = 1 / max(vv / most_vv, 1.0), 1 / max(dd / most_dd, 1.0)
            vv, dd, vd = vv * shrink, dd * shrink_d, vd * math.sqrt(shrink * shrink_d)
        elif value is own:
            return self
        return _made(Axis, (value, velocity, vv, vd, dd))


_made = tuple.__new__
"""Of a named tuple, as its class makes one, in a third of the time; a dozen a frame."""
