"""The interpolation task: frames into more frames."""

from .model import TASK, InterpolationModel, for_full_hd
from .options import InterpolationOptions, Number
from .session import Counts, InterpolationSession

__all__ = [
    "TASK",
    "Counts",
    "InterpolationModel",
    "InterpolationOptions",
    "InterpolationSession",
    "Number",
    "for_full_hd",
]
