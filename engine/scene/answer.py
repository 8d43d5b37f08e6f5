"""What a scene answers for one frame."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...vision import Box
from ...wire import Status


@dataclass(frozen=True, slots=True)
class Sighting:
    """Where one target is.

    Attributes:
        id: stable; never given twice in a scene.
        box: pixels of the frame.
        score: how sure the scene is, in [0, 1].
        status: ``tracking`` or ``uncertain``; lost ones are not told.
        label: its class; empty where no detector said one.
        source: ``detected``, ``looked`` (by the model) or ``carried`` (by motion) in this frame.
    """

    id: int
    box: Box
    score: float
    status: Status
    label: str
    source: str

    @property
    def plain(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "id": self.id, "box": list(self.box.xywh), "score": self.score, "status": self.status,
            "label": self.label, "source": self.source,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class SceneAnswer:
    """What is where in a frame; a sequence of `Sighting`, in the order of their ids.

    Attributes:
        frame_index, seconds: of the frame.
        targets: those in sight.
        lost: ids that are out of sight, and can be found again.
        ended: ids that will not come again.
        merged: pairs of an id that was ended and the one that it turned out to be.
        swapped: pairs of ids that were exchanged when their targets had parted.
        looked: ids that the model looked at.
        skipped: ids that were due for a look, which the budget did not allow.
        ignored: detections that were passed over: weak, outside, duplicates, too many.
        failed: ids whose look failed, with what failed it; they are as they were.
    """

    frame_index: int
    seconds: float
    targets: tuple[Sighting, ...] = ()
    lost: tuple[int, ...] = ()
    ended: tuple[int, ...] = ()
    merged: tuple[tuple[int, int], ...] = ()
    swapped: tuple[tuple[int, int], ...] = ()
    looked: tuple[int, ...] = ()
    skipped: tuple[int, ...] = ()
    ignored: int = 0
    failed: tuple[tuple[int, str], ...] = ()

    def __iter__(self) -> Iterator[Sighting]:
        return iter(self.targets)

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, place: int) -> Sighting:
        return self.targets[place]

    @property
    def plain(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "frame": self.frame_index, "seconds": self.seconds,
            "targets": [one.plain for one in self.targets],
            "lost": list(self.lost), "ended": list(self.ended), "merged": [list(one) for one in self.merged],
            "swapped": [list(one) for one in self.swapped], "looked": list(self.looked),
            "skipped": list(self.skipped), "ignored": self.ignored,
            "failed": [list(one) for one in self.failed],
        }  # fmt: skip

    def to_supervision(self) -> Any:
        """As ``supervision.Detections`` with ``tracker_id``, for its annotators and zones.

        ``class_id`` counts the labels in the order of the alphabet; ``data["class_name"]`` has them.
        Raises ImportError without ``supervision``.
        """
        import supervision

        labels = [one.label for one in self.targets]
        known = {label: place for place, label in enumerate(sorted(set(labels)))}
        return supervision.Detections(
            xyxy=np.array([one.box.xyxy for one in self.targets], np.float32).reshape(-1, 4),
            confidence=np.array([one.score for one in self.targets], np.float32),
            class_id=np.array([known[label] for label in labels], int),
            tracker_id=np.array([one.id for one in self.targets], int),
            data={"class_name": np.array(labels, dtype=object)},
        )
