"""Multi-object trackers that people would pick instead, by Roboflow's `trackers`, behind one small protocol.

| name | what it is |
|---|---|
| sort | SORT (Bewley et al. 2016) |
| bytetrack | ByteTrack (Zhang et al. 2022) |
| ocsort | OC-SORT (Cao et al. 2023) |

They take detections and nothing else. Between frames with detections their last boxes stand where they were:
better than no boxes there, as their own loops would have it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ..engine.scene import Delayed, Detections, Scene, SceneAnswer
from ..errors import OptionError
from ..vision import Frame
from .scene_scores import REMEDY

Numbers = npt.NDArray[np.float64]


Told = tuple[list[int], Numbers]
"""Ids and boxes (N, 4) in one frame."""


class SceneTracker(Protocol):
    """Follows many objects through one video."""

    def update(self, frame: Frame, found: Detections | None) -> Told | None:
        """What is in the next frame it has not told of; ``found`` is None where no detector ran.

        None: it tells of that frame later.
        """

    def rest(self) -> list[Told]:
        """What it has not told of yet, at the end."""


class Ours:
    """A scene; its answers may come ``late`` frames late."""

    def __init__(self, scene: Scene, late: int = 0) -> None:
        self.scene = scene
        self.looks = 0
        self._late = Delayed(late) if late else None

    def update(self, frame: Frame, found: Detections | None) -> Told | None:
        """See the protocol."""
        answer: SceneAnswer | None = self.scene.update(frame, found)
        assert answer is not None
        self.looks += len(answer.looked)
        if self._late is not None:
            answer = self._late.add(answer)
        return None if answer is None else _told(answer)

    def rest(self) -> list[Told]:
        """See the protocol."""
        return [] if self._late is None else [_told(one) for one in self._late.rest()]


def _told(answer: SceneAnswer) -> Told:
    return [one.id for one in answer], np.array([one.box.xywh for one in answer], float).reshape(-1, 4)


class Peer:
    """A tracker of `trackers`, made for ``rate`` rounds of detections a second."""

    def __init__(self, tracker: Any) -> None:
        self._tracker = tracker
        self._held: tuple[list[int], Numbers] = [], np.zeros((0, 4))

    def update(self, frame: Frame, found: Detections | None) -> Told:
        """See the protocol."""
        if found is not None:
            self._held = self._round(found)
        return self._held

    def rest(self) -> list[Told]:
        """See the protocol."""
        return []

    def _round(self, found: Detections) -> Told:
        import supervision

        x, y, w, h = found.boxes.T
        given = supervision.Detections(
            xyxy=np.stack([x, y, x + w, y + h], axis=1).astype(np.float32).reshape(-1, 4),
            confidence=found.scores.astype(np.float32),
            class_id=np.zeros(len(found), int),
        )
        told = self._tracker.update(given)
        kept = told.tracker_id >= 0
        corners = np.asarray(told.xyxy, float).reshape(-1, 4)[kept]
        boxes = np.concatenate([corners[:, :2], corners[:, 2:] - corners[:, :2]], axis=1)
        return [int(one) for one in told.tracker_id[kept]], boxes


CLASSES: Mapping[str, str] = MappingProxyType(
    {"sort": "SORTTracker", "bytetrack": "ByteTrackTracker", "ocsort": "OCSORTTracker"}
)
"""Peers by name, and their classes in `trackers`."""


def open_scene_peer(name: str) -> Callable[[float], SceneTracker]:
    """What makes a peer for so many rounds of detections a second. Raises OptionError."""
    if name not in CLASSES:
        raise OptionError(f"there is no peer {name!r} for scenes", f"known: {', '.join(CLASSES)}")
    try:
        import trackers
    except ImportError as error:
        raise OptionError(f"the peer {name} needs trackers ({error})", REMEDY) from error
    made = getattr(trackers, CLASSES[name])
    return lambda rate: Peer(made(frame_rate=rate))
