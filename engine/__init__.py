"""Floor 3: sessions over a runtime. ``flight.py`` is a frame's whole way, the same for every task."""

from ..wire import Classification, Made, Output, Status, Timings, Track
from .autosave import Autosave
from .capacity import Capacity
from .classification import ClassificationOptions, Classifying
from .engine import Engine
from .inputs import Clock
from .interpolation import (
    Interpolating,
    InterpolationOptions,
    OutputOptions,
    VideoRun,
    expected_frames,
    for_unique,
    interpolate_video,
)
from .scheduler import Policy
from .session import Session
from .session_options import SessionOptions
from .stream import Streaming
from .task import OWN, Call, Early, Next, Part, Result, Steps, Task, call
from .tasks import TASKS
from .tracking import FilterOptions, Tracking, TrackingOptions

__all__ = [
    "OWN",
    "TASKS",
    "Autosave",
    "Call",
    "Capacity",
    "Classification",
    "ClassificationOptions",
    "Classifying",
    "Clock",
    "Early",
    "Engine",
    "FilterOptions",
    "Interpolating",
    "InterpolationOptions",
    "Made",
    "Next",
    "Output",
    "OutputOptions",
    "Part",
    "Policy",
    "Result",
    "Session",
    "SessionOptions",
    "Status",
    "Steps",
    "Streaming",
    "Task",
    "Timings",
    "Track",
    "Tracking",
    "TrackingOptions",
    "VideoRun",
    "call",
    "expected_frames",
    "for_unique",
    "interpolate_video",
]
