"""The interpolation task: frames into more frames."""

from .model import TASK, InterpolationModel, for_full_hd
from .options import InterpolationOptions, Number
from .session import Counts, InterpolationSession
from .video import OutputOptions, VideoRun, expected_frames, for_unique, interpolate_video

__all__ = [
    "TASK",
    "Counts",
    "InterpolationModel",
    "InterpolationOptions",
    "InterpolationSession",
    "Number",
    "OutputOptions",
    "VideoRun",
    "expected_frames",
    "for_full_hd",
    "for_unique",
    "interpolate_video",
]
