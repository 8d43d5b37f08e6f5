"""What a step has computed and not yet stored, and what it answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..runtimes import State
from .track import Track
from .tracking import TrackingWork

Answer = Track | Exception


@dataclass
class Computed:
    """Some frames of a step: their tracks and the next state, or what failed them."""

    works: Sequence[TrackingWork]
    tracks: Sequence[Track] = ()
    state: State | None = None
    error: Exception | None = None
