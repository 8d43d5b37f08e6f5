"""What the client gives back: tracks, sessions as the server tells of them, errors as the typed ones"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, cast

from .. import errors
from ..errors import FramestateError, RunError
from ..vision import Box
from .messages import Timings, TrackMessage

Status = Literal["tracking", "uncertain", "lost"]


@dataclass(frozen=True, slots=True)
class Track:
    """Where a target is, as ``framestate.engine.Track``.

    Attributes:
        box: pixels of the frame, top-left corner. While ``lost``, the last place it was believed at.
        score: the model's confidence in [0, 1].
        status: ``tracking``, ``uncertain`` (weakly seen, or the filter doubts it), or ``lost``.
        frame_index: the frame's own index.
        dropped: frames of this session that were dropped since its last answer.
        timings: milliseconds at the server.
    """

    box: Box
    score: float
    status: Status
    frame_index: int
    dropped: int = 0
    timings: Timings = Timings()  # noqa: RUF009 - frozen, so may be shared

    @classmethod
    def of(cls, message: TrackMessage) -> Track:
        """What a message says."""
        status = cast(Status, message.status)
        return cls(Box(*message.box), message.score, status, message.index, message.dropped, message.timings)


def error_of(code: str, problem: str, remedy: str) -> FramestateError:
    """The typed error that a server named; one that this version does not know becomes a RunError."""
    kind: Any = getattr(errors, code, None) if code in errors.__all__ else None
    if kind is None:
        return RunError(f"{problem} ({code})", remedy)
    error: FramestateError = kind(problem, remedy)
    return error
