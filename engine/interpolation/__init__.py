"""Interpolation: frames into more frames."""

from .memory import Counts, VideoMemory
from .model import InterpolationModel
from .options import InterpolationOptions, Number
from .task import Interpolating
from .video import OutputOptions, VideoRun, expected_frames, for_unique, interpolate_video

__all__ = [
    "Counts",
    "Interpolating",
    "InterpolationModel",
    "InterpolationOptions",
    "Number",
    "OutputOptions",
    "VideoMemory",
    "VideoRun",
    "expected_frames",
    "for_unique",
    "interpolate_video",
]
