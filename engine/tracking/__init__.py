"""Single-object tracking: predict, crop, model, decode, filter, template."""

from .filter_options import GATE, FilterOptions
from .kalman import BoxFilter, nominal_steps
from .options import TrackingOptions
from .portable import pack_memory, unpack_memory
from .target import MemorySnapshot, TargetMemory
from .task import TrackingTask, TrackingWork

__all__ = [
    "GATE",
    "BoxFilter",
    "FilterOptions",
    "MemorySnapshot",
    "TargetMemory",
    "TrackingOptions",
    "TrackingTask",
    "TrackingWork",
    "nominal_steps",
    "pack_memory",
    "unpack_memory",
]
