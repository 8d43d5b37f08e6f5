"""One tracker over one sequence: its boxes and times, which can be kept in a file and scored at any time."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ..errors import DataError, FramestateError
from ..vision.box import Box
from ..vision.frame import Frame
from .peers import Peer
from .sequences import TrackingSequence


class SequenceTracker(Protocol):
    """A tracker of one target. `start` begins anew, so one object serves one sequence after another."""

    def start(self, frame: Frame, box: Box) -> None:
        """Learn the target in the first frame; ``box`` in pixels."""

    def update(self, frame: Frame) -> Box:
        """Where the target is in the next frame, in pixels; a best guess where it is lost."""


class PeerTracker:
    """A `bench.peers.Peer` as a `SequenceTracker`: where the peer is lost, its last box is kept."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self._last = Box(math.nan, math.nan, math.nan, math.nan)

    def start(self, frame: Frame, box: Box) -> None:
        """Start the peer."""
        self._peer.start(frame.image, box)
        self._last = box

    def update(self, frame: Frame) -> Box:
        """The peer's box, or its last one."""
        self._last = self._peer.update(frame.image) or self._last
        return self._last


@dataclass(slots=True, eq=False)
class SequenceRun:
    """What one tracker did on one sequence.

    Attributes:
        boxes: (frames, 4), NaN where there was no answer.
        seconds: (frames,), the first that of `start`; NaN where there was no answer.
        size: width and height of the first frame.
        unreadable: frames that do not decode; no tracker saw them, and they are not scored.
        error: why the tracker gave up.
    """

    boxes: npt.NDArray[np.float64]
    seconds: npt.NDArray[np.float64]
    size: tuple[int, int] = (0, 0)
    unreadable: list[int] = field(default_factory=list)
    error: str | None = None

    @property
    def update_seconds(self) -> npt.NDArray[np.float64]:
        """The times of all updates that were made."""
        return self.seconds[1:][np.isfinite(self.seconds[1:])]

    @property
    def fps(self) -> float:
        """Updates a second."""
        taken = self.update_seconds
        return len(taken) / float(taken.sum()) if taken.sum() > 0 else 0.0

    def to_json(self) -> str:
        """The run as text."""
        plain = {
            "boxes": [None if np.isnan(box).any() else box for box in self.boxes.tolist()],
            "seconds": [None if math.isnan(value) else value for value in self.seconds.tolist()],
            "size": self.size,
            "unreadable": self.unreadable,
            "error": self.error,
        }
        return json.dumps(plain, default=list, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> SequenceRun:
        """A run out of `to_json`. Raises DataError where the text is something else."""
        try:
            plain: dict[str, Any] = json.loads(text)
            boxes = [[math.nan] * 4 if box is None else box for box in plain["boxes"]]
            seconds = [math.nan if value is None else value for value in plain["seconds"]]
            run = cls(
                np.array(boxes, np.float64).reshape(-1, 4),
                np.array(seconds, np.float64),
                (int(plain["size"][0]), int(plain["size"][1])),
                [int(index) for index in plain["unreadable"]],
                None if plain["error"] is None else str(plain["error"]),
            )
        except (ValueError, TypeError, KeyError, IndexError) as error:
            raise DataError(f"this is no run of a tracker ({error})", "Delete the file.") from error
        if len(run.boxes) != len(run.seconds):
            raise DataError("this run has not one time a box", "Delete the file.")
        return run


def run_sequence(
    tracker: SequenceTracker, sequence: TrackingSequence, notify: Callable[[int], None] = lambda index: None
) -> SequenceRun:
    """Run a tracker over a sequence; its own errors end up in the result.

    Only `start` and `update` are timed, decoding is not. ``notify`` hears how many frames are done.

    Raises:
        DataError, VideoError: the sequence cannot be read, see `TrackingSequence.frames`.
    """
    run = SequenceRun(np.full((len(sequence), 4), np.nan), np.full(len(sequence), np.nan))
    seen = np.zeros(len(sequence), bool)
    with closing(sequence.frames()) as frames:
        for frame in frames:
            seen[frame.index] = True
            if frame.index == 0:
                run.size = frame.width, frame.height
            if run.error is None:
                _one(tracker, sequence, run, frame)
            notify(frame.index + 1)
    run.unreadable = np.flatnonzero(~seen).tolist()
    return run


def _one(tracker: SequenceTracker, sequence: TrackingSequence, run: SequenceRun, frame: Frame) -> None:
    """Hand one frame to the tracker; an error of its own is noted in the run."""
    index = frame.index
    try:
        begin = time.perf_counter()
        if index == 0:
            tracker.start(frame, sequence.first_box)
            run.seconds[0] = time.perf_counter() - begin
            run.boxes[0] = sequence.truth[0]
            return
        box = tracker.update(frame)
        run.seconds[index] = time.perf_counter() - begin
        run.boxes[index] = box.x, box.y, box.w, box.h
    except FramestateError as error:
        run.error = f"frame {index}: {error}"
    except Exception as error:  # a tracker from outside may raise anything; the other runs are worth keeping
        run.error = f"frame {index}: {type(error).__name__}: {error}"
