"""`BoxFilter`: a Kalman filter over one box, with a real Δt a step and bounded coasting.

Glossary:
    mean        x, (8,): centre ``cx, cy`` and size ``w, h`` in pixels, then their velocities a nominal frame.
    covariance  P, (8, 8), of these numbers. Axes do not mix: it is four 2 x 2 blocks (value, velocity).
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
from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
from filterpy.kalman import KalmanFilter

from ...errors import BoxError, FrameError, StateError, StepError
from ...vision.box import Box
from .filter_options import FilterOptions

Array = npt.NDArray[np.float64]

MIN_SIDE = 1.0
"""Sizes, measured or predicted, never fall below one pixel."""

_LONGEST_GAP = 1000.0  # nominal frames; by then every bound below has been reached
_LARGEST = 1e6  # pixels; larger numbers are a fault, and their squares would swamp the covariance
_LARGEST_STATE = 1e15  # above every variance that the ceilings allow for boxes of that size
_SHAPES = MappingProxyType({"mean": (8,), "covariance": (8, 8), "anchor": (5,), "missed": (1,)})


def nominal_steps(seconds: float, frame_rate: float) -> float:
    """Time passed in nominal frames, the unit of `BoxFilter.predict`: 0.1 s at 25 frames a second is 2.5."""
    return seconds * frame_rate


class BoxFilter:
    """Follows one box. A frame is `predict`, then `update` with a measurement or `coast` without one.

    ::

        box = filter.predict(dt)
        if filter.gate(measured, std) <= GATE: filter.update(measured, std)
        else: filter.coast()

    `observe` is the last two lines. Cost is O(1); the state is `state_dict`, 78 float64 numbers.

    Args:
        box: the target in the first frame, in pixels.
        options: see `FilterOptions`.

    Raises:
        BoxError: the box is not finite, not positive, or beyond a million pixels.
    """

    def __init__(self, box: Box, options: FilterOptions | None = None) -> None:
        self.options = options or FilterOptions()
        self.missed = 0
        """Measurements missed in a row."""
        self._kalman = KalmanFilter(dim_x=8, dim_z=4)
        self._kalman.H = np.eye(4, 8)
        self._transition = np.eye(8)
        self._transition_dt = np.einsum("ii->i", self._transition[:4, 4:])  # writable views of diagonals
        self._noise = np.zeros((8, 8))
        self._noise_value = np.einsum("ii->i", self._noise[:4, :4])
        self._noise_velocity = np.einsum("ii->i", self._noise[4:, 4:])
        self._noise_cross = np.einsum("ii->i", self._noise[:4, 4:]), np.einsum("ii->i", self._noise[4:, :4])
        self._trust = np.zeros((4, 4))
        self._trust_variance = np.einsum("ii->i", self._trust)
        o = self.options
        widest = [[o.widest_position] * 2 + [o.widest_size] * 2, [o.widest_velocity] * 4]
        self._widest2 = np.square(widest)  # (2, 4): values, velocities
        self._kalman.x = np.concatenate([_measurement(box), np.zeros(4)])
        first = [o.initial_position * o.position_std], [o.initial_velocity * o.velocity_std]
        self._kalman.P = np.diag((np.square(first) * self._unit2()).ravel())
        self._anchor = self._new_anchor()

    @property
    def box(self) -> Box:
        """The box as it is now believed to be, in pixels."""
        cx, cy, w, h = self._kalman.x[:4].tolist()
        return Box.from_centre(cx, cy, w, h)

    @property
    def velocity(self) -> tuple[float, float, float, float]:
        """Velocity of ``cx, cy, w, h`` in pixels a nominal frame."""
        vx, vy, vw, vh = self._kalman.x[4:].tolist()
        return vx, vy, vw, vh

    @property
    def std(self) -> tuple[float, float, float, float]:
        """Standard deviation of ``cx, cy, w, h`` in pixels."""
        cx, cy, w, h = np.sqrt(self._kalman.P.diagonal()[:4]).tolist()
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
        unit2 = self._unit2()
        walk, drift = self.options.position_std**2, self.options.velocity_std**2
        self._transition_dt[:] = dt
        self._noise_value[:] = unit2 * (dt * walk + dt**3 / 3 * drift)
        self._noise_velocity[:] = unit2 * (dt * drift)
        for view in self._noise_cross:
            view[:] = unit2 * (dt**2 / 2 * drift)
        self._kalman.predict(F=self._transition, Q=self._noise)
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
        residual = _measurement(box) - self._kalman.x[:4]
        spread = self._kalman.P.diagonal()[:4] + self._measurement_variance(std)  # all of S: axes do not mix
        return float((residual * residual / spread).sum())

    def update(self, box: Box, std: npt.ArrayLike) -> Box:
        """Take a measurement in, whatever `gate` says; return the corrected box. Arguments as in `gate`."""
        self._trust_variance[:] = self._measurement_variance(std)
        self._kalman.update(_measurement(box), R=self._trust)  # filterpy keeps P in Joseph form
        x = self._kalman.x
        x[2], x[3] = max(x[2], MIN_SIDE), max(x[3], MIN_SIDE)
        self._kalman.P = (self._kalman.P + self._kalman.P.T) * 0.5
        self._anchor = self._new_anchor()
        self.missed = 0
        return self.box

    def coast(self) -> Box:
        """Go on without a measurement: inflate P, and after a while let velocity decay. Returns the box."""
        self.missed += 1
        if self.missed > self.options.coast_frames:
            self._kalman.x[4:] *= self.options.coast_decay
        growth = np.ones(8)
        growth[:4] = math.sqrt(self.options.inflation)  # not the velocities: a jump says little about them
        self._kalman.P = self._kalman.P * np.outer(growth, growth)
        self._hold()
        return self.box

    def observe(self, box: Box, std: npt.ArrayLike) -> bool:
        """`update` if the measurement passes the gate, else `coast`; says which. Arguments as in `gate`."""
        accepted = self.gate(box, std) <= self.options.gate
        if accepted:
            self.update(box, std)
        else:
            self.coast()
        return accepted

    def state_dict(self) -> dict[str, Array]:
        """The state, float64: ``mean`` (8,), ``covariance`` (8, 8), ``anchor`` (5,), ``missed`` (1,)."""
        return {
            "mean": self._kalman.x.copy(),
            "covariance": self._kalman.P.copy(),
            "anchor": self._anchor.copy(),
            "missed": np.array([self.missed], dtype=np.float64),
        }

    def load_state_dict(self, state: Mapping[str, Array]) -> None:
        """Continue from a `state_dict`: every later number is the same bit for bit, given the same options.

        Raises:
            StateError: an array is missing, unknown, of another shape or dtype, or holds an impossible value;
                the filter is then left as it was.
        """
        _check_state(state)
        self._kalman.x = state["mean"].copy()
        self._kalman.P = state["covariance"].copy()
        self._anchor = state["anchor"].copy()
        self.missed = int(state["missed"][0])

    def _unit2(self) -> Array:
        """The units squared, (4,), in pixels squared."""
        w, h = self._kalman.x[2:4].tolist()
        return np.array([w * h, w * h, w * w, h * h])

    def _new_anchor(self) -> Array:
        cx, cy, w, h, vx, vy, _, _ = self._kalman.x.tolist()
        limit = self.options.coast_distance * math.sqrt(w * h)
        return np.array([cx, cy, w, h, min(math.hypot(vx, vy), limit) + limit])

    def _measurement_variance(self, std: npt.ArrayLike) -> Array:
        """The diagonal of R, (4,), in pixels squared, held between floor and ceiling."""
        given = np.minimum(np.asarray(std, dtype=np.float64), _LARGEST)
        if given.shape != (4,) or not (given >= 0).all():
            raise StepError(
                f"The standard deviations of a measurement are {given}, and must be four numbers, 0 or more",
                "Check the uncertainty output of the model.",
            )
        unit2 = self._unit2()
        lowest, highest = self.options.measurement_floor**2, self.options.measurement_ceiling**2
        held: Array = np.minimum(np.maximum(given * given, lowest * unit2), highest * unit2)
        return held

    def _hold(self) -> None:
        """Keep the prediction near the anchor, P below its ceilings and exactly symmetric."""
        x = self._kalman.x
        cx, cy, w, h = x[:4].tolist()
        ax, ay, aw, ah, reach = self._anchor.tolist()
        strayed = math.hypot(cx - ax, cy - ay)
        if strayed > reach:
            x[0] = ax + (cx - ax) * (reach / strayed)
            x[1] = ay + (cy - ay) * (reach / strayed)
        scale = self.options.coast_scale
        x[2] = min(max(w, aw / scale, MIN_SIDE), max(aw * scale, MIN_SIDE))
        x[3] = min(max(h, ah / scale, MIN_SIDE), max(ah * scale, MIN_SIDE))
        covariance = (self._kalman.P + self._kalman.P.T) * 0.5
        excess = covariance.diagonal() / (self._widest2 * self._unit2()).ravel()
        if excess.max() > 1:
            shrink = 1 / np.sqrt(np.maximum(excess, 1))
            covariance *= np.outer(shrink, shrink)  # keeps correlations, so P stays positive definite
        self._kalman.P = covariance


def _measurement(box: Box) -> Array:
    """The box as ``cx, cy, w, h``, (4,)."""
    if not (abs(box.x) <= _LARGEST and abs(box.y) <= _LARGEST and box.w <= _LARGEST and box.h <= _LARGEST):
        raise BoxError(
            f"The box {box} has a number that is not finite or is beyond {_LARGEST:g} pixels",
            "Give x,y,w,h in pixels of the frame.",
        )
    if box.w <= 0 or box.h <= 0:
        raise BoxError(f"The box {box} has a side that is not positive", "Give a width and a height above 0.")
    cx, cy = box.centre
    return np.array([cx, cy, max(box.w, MIN_SIDE), max(box.h, MIN_SIDE)])


def _check_state(state: Mapping[str, Array]) -> None:
    remedy = "Use what BoxFilter.state_dict returned."
    if set(state) != set(_SHAPES):
        raise StateError(
            f"The filter state holds {sorted(state)}, and it must hold {sorted(_SHAPES)}", remedy
        )
    for name, shape in _SHAPES.items():
        array = state[name]
        if array.shape != shape or array.dtype != np.float64:
            raise StateError(f"{name} is {array.dtype}{array.shape}, and it must be float64{shape}", remedy)
        if not (np.abs(array) <= _LARGEST_STATE).all():
            raise StateError(
                f"{name} holds a number that is not finite, or beyond {_LARGEST_STATE:g}", remedy
            )
    covariance = state["covariance"]
    try:
        np.linalg.cholesky(covariance)
    except np.linalg.LinAlgError:
        raise StateError("The covariance is not positive definite", remedy) from None
    if not np.array_equal(covariance, covariance.T):
        raise StateError("The covariance is not symmetric", remedy)
    if min(*state["mean"][2:4], *state["anchor"][2:4]) < MIN_SIDE or state["anchor"][4] < 0:
        raise StateError(f"A size in the filter state is below {MIN_SIDE} pixel", remedy)
    if state["missed"][0] < 0 or state["missed"][0] % 1:
        raise StateError(f"missed is {state['missed'][0]}, and it counts frames", remedy)
