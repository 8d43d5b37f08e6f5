"""What the engine answers for one frame of one target."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..vision import Box

Status = Literal["tracking", "uncertain", "lost"]


@dataclass(frozen=True, slots=True)
class Timings:
    """Milliseconds that a frame spent in each stage."""

    prepare_ms: float = 0.0
    model_ms: float = 0.0
    finish_ms: float = 0.0
    queue_ms: float = 0.0  # before its step; 0 where there is no queue

    @property
    def total_ms(self) -> float:
        """All stages together."""
        return self.queue_ms + self.prepare_ms + self.model_ms + self.finish_ms


@dataclass(frozen=True, slots=True)
class Track:
    """Where a target is.

    Attributes:
        box: pixels of the frame, top-left corner. While ``lost``, the last place it was believed at.
        score: confidence in [0, 1]; of models that were calibrated, the chance of an overlap of 0.5 or more.
        status: ``tracking``, ``uncertain`` (weakly seen, or the filter doubts it), or ``lost``.
        frame_index: the frame's own index.
        dropped: frames of this session that were dropped since its last answer.
        timings: where the time went.
    """

    box: Box
    score: float
    status: Status
    frame_index: int
    dropped: int = 0
    timings: Timings = Timings()
