"""Single-object tracking: predict, crop, model, decode, filter, template."""

from .filter_options import GATE, FilterOptions
from .kalman import BoxFilter, nominal_steps
from .options import TrackingOptions
from .target import TargetMemory
from .task import TrackingTask, TrackingWork

__all__ = [
    "GATE",
    "BoxFilter",
    "FilterOptions",
    "TargetMemory",
    "TrackingOptions",
    "TrackingTask",
    "TrackingWork",
    "nominal_steps",
]
