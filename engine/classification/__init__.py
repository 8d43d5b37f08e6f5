"""Classification: frames in, labels with smoothed probabilities out."""

from .model import ClassificationModel
from .task import ClassificationOptions, Classifying

__all__ = ["ClassificationModel", "ClassificationOptions", "Classifying"]
