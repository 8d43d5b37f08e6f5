"""ARTrackMamba: a tracker whose template and history live in a state-space state."""

from .config import ArtrackMambaConfig, nano, tiny
from .model import ArtrackMamba

__all__ = ["ArtrackMamba", "ArtrackMambaConfig", "nano", "tiny"]
