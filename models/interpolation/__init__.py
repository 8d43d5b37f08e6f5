"""Frame interpolation: a hybrid of Mamba-2 and gated window attention, flow in three scales, refinement."""

from .config import InterpolatorConfig, base, nano
from .model import HybridInterpolator

__all__ = ["HybridInterpolator", "InterpolatorConfig", "base", "nano"]
