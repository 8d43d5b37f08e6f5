"""Floor 3: sessions over a runtime. ``Engine.step`` is a frame's whole way."""

from .autosave import Autosave
from .capacity import Capacity
from .classification import Classification, ClassificationOptions, ClassificationSession
from .engine import TASKS, Engine
from .interpolation import (
    InterpolationOptions,
    InterpolationSession,
    OutputOptions,
    VideoRun,
    expected_frames,
    for_unique,
    interpolate_video,
)
from .scheduler import Policy
from .session import Session, SessionOptions
from .target import Target
from .track import Status, Timings, Track
from .tracking import FilterOptions, TrackingOptions

__all__ = [
    "TASKS",
    "Autosave",
    "Capacity",
    "Classification",
    "ClassificationOptions",
    "ClassificationSession",
    "Engine",
    "FilterOptions",
    "InterpolationOptions",
    "InterpolationSession",
    "OutputOptions",
    "Policy",
    "Session",
    "SessionOptions",
    "Status",
    "Target",
    "Timings",
    "Track",
    "TrackingOptions",
    "VideoRun",
    "expected_frames",
    "for_unique",
    "interpolate_video",
]
