"""ViL-Tracker: Vision-LSTM blocks whose matrix memory holds the template; temporal features by FiLM."""

from .config import ARCHITECTURE, VilTrackerConfig, mini, small
from .model import VilTracker

__all__ = ["ARCHITECTURE", "VilTracker", "VilTrackerConfig", "mini", "small"]
