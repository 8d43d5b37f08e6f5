"""Training data by the public data sets' own layouts: sequences and stills with boxes, drawn in any ratio."""

from __future__ import annotations

from .coco import coco_stills
from .footage import Footage, FootageMix, FootageSet, SequenceFootage, StillFootage, Stretch
from .opening import KINDS, open_footage

__all__ = [
    "KINDS",
    "Footage",
    "FootageMix",
    "FootageSet",
    "SequenceFootage",
    "StillFootage",
    "Stretch",
    "coco_stills",
    "open_footage",
]
