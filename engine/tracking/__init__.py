"""Single-object tracking: predict, crop, model, decode, filter, template."""

from .belief import Belief
from .filter_options import GATE, FilterOptions
from .kalman import BoxFilter, nominal_steps
from .memory import TargetMemory
from .options import TrackingOptions
from .task import Tracking

__all__ = [
    "GATE",
    "Belief",
    "BoxFilter",
    "FilterOptions",
    "TargetMemory",
    "Tracking",
    "TrackingOptions",
    "nominal_steps",
]
