"""The public data sets of tracking and interpolation, by their authors' own folder layouts.

`tracking_sequences` and `moments_of` open one by the name of its layout; `LAYOUTS` and `MOMENT_LAYOUTS` list
the names.
"""

from __future__ import annotations

from .layouts import LAYOUTS, detect_layout, tracking_sequences
from .moments import MOMENT_LAYOUTS, Moment, moments_of
from .sequence import Hidden, LabelledSequence
from .truth import read_boxes, read_labels

__all__ = [
    "LAYOUTS",
    "MOMENT_LAYOUTS",
    "Hidden",
    "LabelledSequence",
    "Moment",
    "detect_layout",
    "moments_of",
    "read_boxes",
    "read_labels",
    "tracking_sequences",
]
