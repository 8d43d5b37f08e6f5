"""Single-object tracking: the box filter and its options."""

from .filter_options import GATE, FilterOptions
from .kalman import BoxFilter, nominal_steps

__all__ = ["GATE", "BoxFilter", "FilterOptions", "nominal_steps"]
