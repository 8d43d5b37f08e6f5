"""``Standing``: what a session has come to by its frames, beside its row of state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .inputs import Clock


@dataclass(frozen=True, slots=True)
class Standing:
    """What the frames answered so far have led to, beside the row of state.

    Attributes:
        memory: the task's.
        clock: at the last of these frames; None before the first.
        frames: how many were answered.
        ended: whether the session was flushed.
        corrections: how many there were, since the session was opened or restored.
    """

    memory: Any
    clock: Clock | None = None
    frames: int = 0
    ended: bool = False
    corrections: int = 0
