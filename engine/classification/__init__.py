"""Classification as the engine runs it: frames in, labels with smoothed probabilities out."""

from .model import TASK, ClassificationModel
from .result import Classification
from .session import ClassificationOptions, ClassificationSession

__all__ = [
    "TASK",
    "Classification",
    "ClassificationModel",
    "ClassificationOptions",
    "ClassificationSession",
]
