"""ARTrackMamba with ARTrackV2's tokens and trajectory head, stateful and stateless of the same weights."""

from .config import ArtrackMambaV2Config, base, small, tiny
from .model import ARCHITECTURE, ArtrackMambaV2

__all__ = ["ARCHITECTURE", "ArtrackMambaV2", "ArtrackMambaV2Config", "base", "small", "tiny"]
