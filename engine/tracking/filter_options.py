"""`FilterOptions`: how a `BoxFilter` behaves, with the defaults and why they are what they are."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from ...errors import OptionError

GATE = 9.488
"""χ² at 0.95 with four degrees of freedom: one true box in twenty lies further from its prediction."""


def check_shares(options: object, names: Iterable[str]) -> None:
    """Raises OptionError unless each of these fields is a score or a share."""
    for name in names:
        value = getattr(options, name)
        if not 0.0 <= value <= 1.0:
            raise OptionError(f"{name} is {value}; it is a score or a share", "give a number from 0 to 1")


@dataclass(frozen=True, slots=True)
class FilterOptions:
    """How a `BoxFilter` behaves. Shares are of the box's own size, so the numbers fit every resolution.

    The coasting limit is 1.5 because that keeps the last known place inside a search area of factor 4.
    """

    position_std: float = 1 / 20
    """Process noise of centre and size a nominal frame, as a share of the size."""
    velocity_std: float = 1 / 160
    """Process noise of the velocities a nominal frame, as a share of the size."""
    initial_position: float = 2.0
    """Standard deviation of the first box, in units of ``position_std``."""
    initial_velocity: float = 10.0
    """Standard deviation of the first velocity (which is zero), in units of ``velocity_std``."""
    gate: float = GATE
    """The squared Mahalanobis distance above which `BoxFilter.observe` refuses a measurement."""
    measurement_floor: float = 0.01
    """A measurement is never trusted to better than this share of the size."""
    measurement_ceiling: float = 0.5
    """A measurement is never trusted to less than this share of the size."""
    coast_frames: int = 5
    """Measurements missed in a row before velocity decays."""
    coast_decay: float = 0.8
    """What is left of the velocity after each further miss."""
    coast_distance: float = 1.5
    """How far the centre may coast, as a share of the size, beyond one frame's own motion."""
    coast_scale: float = 1.5
    """By how much each side may grow or shrink between accepted measurements."""
    inflation: float = 2.0
    """What each miss multiplies the variance of centre and size by, so that the gate opens again."""
    widest_position: float = 5.0
    """Ceiling of the centre's standard deviation, as a share of the size."""
    widest_size: float = 1.0
    """Ceiling of the size's standard deviation, as a share of the size."""
    widest_velocity: float = 0.25
    """Ceiling of every velocity's standard deviation a nominal frame, as a share of the size."""

    def __post_init__(self) -> None:
        numbers = {name: getattr(self, name) for name in self.__slots__}
        lowest = {"coast_distance": 0.0, "coast_frames": 0, "coast_scale": 1.0, "inflation": 1.0}
        for name, value in numbers.items():
            least = lowest.get(name)
            if not math.isfinite(value) or (value <= 0 if least is None else value < least):
                rule = "more than 0" if least is None else f"at least {least}"
                raise OptionError(f"{name} is {value}, and it must be {rule}", "Use the default if in doubt.")
        if self.coast_decay > 1:
            raise OptionError(
                f"coast_decay is {self.coast_decay}, and above 1 the velocity would grow while coasting",
                "Choose a number above 0 and up to 1.",
            )
        if self.measurement_floor > self.measurement_ceiling:
            raise OptionError(
                f"measurement_floor {self.measurement_floor} is above the ceiling {self.measurement_ceiling}",
                "Lower the floor or raise the ceiling.",
            )
