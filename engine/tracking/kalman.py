"""`BoxFilter`: a Kalman filter over one box, with a real Δt a step and bounded coasting.

Glossary:
    mean        x, (8,): centre ``cx, cy`` and size ``w, h`` in pixels, then their velocities a nominal frame.
    covariance  P, (8, 8), of these numbers. Axes do not mix: it is four 2 x 2 blocks (value, velocity), kept
                and computed as such, see `Axis`.
    dt          time passed, in nominal frames: 1.0 at the nominal rate, 3.0 after two dropped frames.
    unit        the length that noise is a share of, one each for cx, cy, w, h: ``sqrt(w h)`` for the centre
                (a thin target moves along its thin side too), the side itself for the size.
    anchor      the box after the last accepted measurement, and how far a prediction may stray from it.
    coasting    frames without an accepted measurement: nothing seen, or the gate refused what was seen.

The model is constant velocity with continuous white noise on value and velocity, so that what is believed
after a gap does not depend on how the gap is cut into steps. Shares follow DeepSORT (Wojke et al. 2017, 2.1).

A filter that only predicts runs away: the crop follows the prediction, the model sees background, the gate
refuses it, and so on. Here a prediction stays near the anchor, velocity decays, and the gate opens again.
"""

from __future__ import annotations

import math
from typing import Self

import numpy as np
import numpy.typing as npt

from ...errors import BoxError, FrameError, StepError
from ...vision.box import Box
from .axis import Axis
from .belief import MIN_SIDE, Anchor, Belief
from .filter_options import FilterOptions

Array = npt.NDArray[np.float64]
Four = tuple[float, float, float, float]
Axes = tuple[Axis, Axis, Axis, Axis]
Reading = tuple[Box, npt.ArrayLike, Four, list[float]]
"""A box and its deviations, as measured; and as ``cx, cy, w, h`` with the variance of each."""

_LONGEST_GAP = 1000.0  # nominal frames; by then every bound below has been reached
_LARGEST = 1e6  # pixels; larger numbers are a fault, and their squares would swamp the covariance


def nominal_steps(seconds: float, frame_rate: float) -> float:
    """Time passed in nominal frames, the unit of `BoxFilter.predict`: 0.1 s at 25 frames a second is 2.5."""
    return seconds * frame_rate


class BoxFilter:
    """Follows one box. A frame is `predict`, then `update` with a measurement or `coast` without one.

    ::

        box = filter.predict(dt)
        if filter.gate(measured, std) <= GATE: filter.update(measured, std)
        else: filter.coast()

    `observe` is the last two lines. Cost is O(1); all that it knows is `belief`, a value.

    Args:
        box: the target in the first frame, in pixels.
        options: see `FilterOptions`.

    Raises:
        BoxError: the box is not finite, not positive, or beyond a million pixels.
    """

    def __init__(self, box: Box, options: FilterOptions | None = None) -> None:
        self.options = options or FilterOptions()
        self.restart(box)

    @classmethod
    def of(cls, belief: Belief, options: FilterOptions) -> Self:
        """A filter that goes on from what another one believed, bit for bit."""
        found = cls.__new__(cls)
        found.options = options
        found._axes, found._anchor, found.missed = belief
        found._read = None
        return found

    @property
    def belief(self) -> Belief:
        """All that it knows."""
        return Belief(self._axes, self._anchor, self.missed)

    def restart(self, box: Box) -> None:
        """Forgets all there was: the target is at ``box``, and how it moves is open. Raises BoxError."""
        o, measured = self.options, _measurement(box)
        first = (o.initial_position * o.position_std) ** 2, (o.initial_velocity * o.velocity_std) ** 2
        cx, cy, w, h = (
            Axis(value, 0.0, first[0] * unit2, 0.0, first[1] * unit2)
            for value, unit2 in zip(measured, _units2(*measured[2:]), strict=True)
        )
        self._axes: Axes = (cx, cy, w, h)
        self._read: Reading | None = None
        self._anchor: Anchor = self._new_anchor()
        self.missed = 0
        """Measurements missed in a row."""

    @property
    def box(self) -> Box:
        """The box as it is now believed to be, in pixels."""
        cx, cy, w, h = self._axes
        return Box.from_centre(cx.value, cy.value, w.value, h.value)

    @property
    def velocity(self) -> tuple[float, float, float, float]:
        """Velocity of ``cx, cy, w, h`` in pixels a nominal frame."""
        vx, vy, vw, vh = (axis.velocity for axis in self._axes)
        return vx, vy, vw, vh

    @property
    def std(self) -> tuple[float, float, float, float]:
        """Standard deviation of ``cx, cy, w, h`` in pixels."""
        cx, cy, w, h = (math.sqrt(axis.vv) for axis in self._axes)
        return cx, cy, w, h

    def predict(self, dt: float = 1.0) -> Box:
        """Move on by ``dt`` nominal frames and return where the target is expected, in pixels.

        Raises:
            FrameError: ``dt`` is negative or not finite.
        """
        if not (math.isfinite(dt) and dt >= 0):
            raise FrameError(
                f"The time since the last frame is {dt} frames, and it cannot be negative",
                "Hand frames over in the order of their pts.",
            )
        dt = min(float(dt), _LONGEST_GAP)
        walk, drift = self.options.position_std**2, self.options.velocity_std**2
        (cx, cy, w, h), (x2, y2, w2, h2) = self._axes, self._unit2()
        self._axes = (
            cx.moved(dt, walk * x2, drift * x2),
            cy.moved(dt, walk * y2, drift * y2),
            w.moved(dt, walk * w2, drift * w2),
            h.moved(dt, walk * h2, drift * h2),
        )
        self._hold()
        return self.box

    def gate(self, box: Box, std: npt.ArrayLike) -> float:
        """Squared Mahalanobis distance of a measurement from the prediction; above `GATE` it is doubtful.

        Args:
            box: the measured box, in pixels.
            std: (4,) the model's standard deviations of ``cx, cy, w, h`` in pixels; held between the options'
                floor and ceiling, so that an infinite one is fine.

        Raises:
            BoxError: the box is not finite, not positive, or beyond a million pixels.
            StepError: ``std`` is not four numbers of 0 or more.
        """
        _, _, measured, trust = self._reading(box, std)
        return sum(map(Axis.distance, self._axes, measured, trust))

    def update(self, box: Box, std: npt.ArrayLike) -> None:
        """Take a measurement in, whatever `gate` says. Arguments as in `gate`."""
        _, _, (x_at, y_at, width, height), trust = self._reading(box, std)
        cx, cy, w, h = self._axes
        self._read = None
        self._axes = (
            cx.corrected(x_at, trust[0]),
            cy.corrected(y_at, trust[1]),
            w.corrected(width, trust[2], MIN_SIDE),
            h.corrected(height, trust[3], MIN_SIDE),
        )
        self._anchor = self._new_anchor()
        self.missed = 0

    def coast(self) -> None:
        """Go on without a measurement: inflate P, and after a while let velocity decay."""
        self.missed += 1
        decay = self.options.coast_decay if self.missed > self.options.coast_frames else 1.0
        cx, cy, w, h = (axis.loosened(self.options.inflation, decay) for axis in self._axes)
        self._axes = cx, cy, w, h
        self._hold()

    def observe(self, box: Box, std: npt.ArrayLike) -> bool:
        """`update` if the measurement passes the gate, else `coast`; says which. Arguments as in `gate`."""
        accepted = self.gate(box, std) <= self.options.gate
        if accepted:
            self.update(box, std)
        else:
            self.coast()
        return accepted

    def _unit2(self) -> Four:
        """The units squared, in pixels squared."""
        return _units2(self._axes[2].value, self._axes[3].value)

    def _new_anchor(self) -> Anchor:
        cx, cy, w, h = self._axes
        limit = self.options.coast_distance * math.sqrt(w.value * h.value)
        reach = min(math.hypot(cx.velocity, cy.velocity), limit) + limit
        return cx.value, cy.value, w.value, h.value, reach

    def _reading(self, box: Box, std: npt.ArrayLike) -> Reading:
        """A measurement as the axes take it; worked out once for `gate` and `update`."""
        known = self._read
        if known is None or known[0] is not box or known[1] is not std:
            known = self._read = box, std, _measurement(box), self._measurement_variance(std)
        return known

    def _measurement_variance(self, std: npt.ArrayLike) -> list[float]:
        """The diagonal of R, four numbers in pixels squared, held between floor and ceiling."""
        given = list(std) if isinstance(std, tuple) else np.asarray(std, np.float64).ravel().tolist()
        if len(given) != 4 or not (given[0] >= 0 and given[1] >= 0 and given[2] >= 0 and given[3] >= 0):
            raise StepError(
                f"The standard deviations of a measurement are {given}, and must be four numbers, 0 or more",
                "Check the uncertainty output of the model.",
            )
        lowest, highest = self.options.measurement_floor**2, self.options.measurement_ceiling**2
        return [
            min(max(min(one, _LARGEST) ** 2, lowest * unit2), highest * unit2)
            for one, unit2 in zip(given, self._unit2(), strict=True)
        ]

    def _hold(self) -> None:
        """Keep the prediction near the anchor, and P below its ceilings."""
        x_axis, y_axis, w_axis, h_axis = self._axes
        cx, cy, w, h = x_axis.value, y_axis.value, w_axis.value, h_axis.value
        ax, ay, aw, ah, reach = self._anchor
        strayed = math.hypot(cx - ax, cy - ay)
        if strayed > reach:
            cx, cy = ax + (cx - ax) * (reach / strayed), ay + (cy - ay) * (reach / strayed)
        scale = self.options.coast_scale
        w = min(max(w, aw / scale, MIN_SIDE), max(aw * scale, MIN_SIDE))
        h = min(max(h, ah / scale, MIN_SIDE), max(ah * scale, MIN_SIDE))
        o, (x2, y2, w2, h2) = self.options, _units2(w, h)
        place, size, drift = o.widest_position**2, o.widest_size**2, o.widest_velocity**2
        self._axes = (
            x_axis.bounded(cx, place * x2, drift * x2),
            y_axis.bounded(cy, place * y2, drift * y2),
            w_axis.bounded(w, size * w2, drift * w2),
            h_axis.bounded(h, size * h2, drift * h2),
        )
        self._read = None


def _units2(w: float, h: float) -> Four:
    return w * h, w * h, w * w, h * h


def _measurement(box: Box) -> Four:
    """The box as ``cx, cy, w, h``."""
    if not (abs(box.x) <= _LARGEST and abs(box.y) <= _LARGEST and box.w <= _LARGEST and box.h <= _LARGEST):
        raise BoxError(
            f"The box {box} has a number that is not finite or is beyond {_LARGEST:g} pixels",
            "Give x,y,w,h in pixels of the frame.",
        )
    if box.w <= 0 or box.h <= 0:
        raise BoxError(f"The box {box} has a side that is not positive", "Give a width and a height above 0.")
    cx, cy = box.centre
    return cx, cy, max(box.w, MIN_SIDE), max(box.h, MIN_SIDE)
