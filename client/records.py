"""Sessions and videos as the server describes them over HTTP"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from ..vision import Box
from ..wire import Status

VideoState = Literal["queued", "running", "done", "failed", "cancelled"]


@dataclass(frozen=True, slots=True)
class SessionInfo:
    """An open session.

    Attributes:
        session: its id.
        last_index: the number of the last frame that it took; None before the first one.
        last_seconds: the time of that frame in its video.
        connected: a stream is connected to it.
        restored: it comes from a snapshot.
        seconds_left: until it ends if nothing is heard of it; None while it is in use.
    """

    session: str
    model: str
    task: str
    policy: str
    width: int | None
    height: int | None
    last_index: int | None
    last_seconds: float | None
    connected: bool
    restored: bool
    seconds_left: float | None


@dataclass(frozen=True, slots=True)
class TargetInfo:
    """A target of a live source.

    Attributes:
        id: stable; never given twice.
        box: pixels; of a lost one, where it would be.
        label: its class, or name; empty where nobody said.
        looks: how often the model has looked at it.
        frame: the number of the frame that this is true of.
    """

    id: int
    box: Box
    score: float
    status: Status
    label: str
    looks: int
    frame: int | None


@dataclass(frozen=True, slots=True)
class VideoInfo:
    """A video that a server works on.

    Attributes:
        frames: those done, of ``frames_total`` where the video says how many it has.
        progress: 0 to 1, or None.
        results: names of what can be downloaded.
        error: problem details of a job that failed.
        notes: what the results lack of the video, a sentence each.
    """

    id: str
    task: str
    model: str
    state: VideoState
    frames: int
    frames_total: int | None
    progress: float | None
    results: list[str]
    error: dict[str, Any] | None
    notes: list[str] = field(default_factory=list)

    @property
    def is_over(self) -> bool:
        """Nothing more happens to it."""
        return self.state in ("done", "failed", "cancelled")
