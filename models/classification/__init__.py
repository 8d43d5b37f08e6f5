"""Mamba-Small: an image classifier of Mamba-1 layers, for CIFAR-sized pictures and frames of a video."""

from .config import ClassifierConfig
from .model import ARCHITECTURE, MambaClassifier

__all__ = ["ARCHITECTURE", "ClassifierConfig", "MambaClassifier"]
