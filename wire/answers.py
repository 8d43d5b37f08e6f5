"""What a session answers for one frame: the same frozen classes from the engine to the client."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal, TypeVar

import numpy as np
import numpy.typing as npt

from ..vision import Box, Frame, Image

Status = Literal["tracking", "uncertain", "lost"]
SOURCES = ("detected", "looked", "carried")
"""How a scene knows where a target is in a frame."""
STATUSES: tuple[Status, ...] = ("tracking", "uncertain", "lost")
AnyAnswer = TypeVar("AnyAnswer")


@dataclass(frozen=True, slots=True)
class Timings:
    """Milliseconds that a frame spent in each stage."""

    prepare_ms: float = 0.0
    model_ms: float = 0.0
    finish_ms: float = 0.0
    queue_ms: float = 0.0  # of waiting; 0 where there is no queue
    decode_ms: float = 0.0  # of its picture, where it came as one

    @property
    def total_ms(self) -> float:
        """All stages together; at a server, from receiving the frame until its answer was there."""
        return self.decode_ms + self.queue_ms + self.prepare_ms + self.model_ms + self.finish_ms

    @property
    def plain(self) -> dict[str, float]:
        """As JSON has it."""
        return {one.name: getattr(self, one.name) for one in fields(self)} | {"total_ms": self.total_ms}


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


@dataclass(frozen=True, slots=True, eq=False)
class Classification:
    """What a frame shows.

    Attributes:
        labels: names of all classes, in the model's order.
        smoothed: (K,) probabilities over the frames so far, older ones fading.
        frame: (K,) probabilities of this frame alone.
        frame_index: the frame's own index.
        seconds: the frame's time.
        dropped: frames of this session that were dropped since its last answer.
        timings: where the time went.
    """

    labels: tuple[str, ...]
    smoothed: npt.NDArray[np.float32]
    frame: npt.NDArray[np.float32]
    frame_index: int
    seconds: float
    dropped: int = 0
    timings: Timings = field(default_factory=Timings)

    @property
    def label(self) -> str:
        """The most likely class, smoothed."""
        return self.labels[int(self.smoothed.argmax())]

    @property
    def probability(self) -> float:
        """Its smoothed probability."""
        return float(self.smoothed.max())

    def top(self, count: int) -> list[tuple[str, float]]:
        """The ``count`` most likely classes, or all where there are fewer, with smoothed probabilities."""
        order = np.argsort(-self.smoothed, kind="stable")[:count]
        return [(self.labels[index], float(self.smoothed[index])) for index in order]


@dataclass(frozen=True, slots=True, eq=False)
class Made:
    """The frames that can be shown by now, in order; a sequence of them.

    Attributes:
        frame_index: of the frame that was pushed.
        frames: those that nobody took one by one.
        dropped: frames of this session that were dropped since its last answer.
        timings: where the time went.
    """

    frame_index: int
    frames: tuple[Frame, ...] = ()
    dropped: int = 0
    timings: Timings = field(default_factory=Timings)

    def with_pieces(self, pieces: tuple[Frame, ...]) -> Made:
        """The same with these frames."""
        return replace(self, frames=pieces)

    def __iter__(self) -> Iterator[Frame]:
        return iter(self.frames)

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, place: int) -> Frame:
        return self.frames[place]


@dataclass(frozen=True, slots=True, eq=False)
class Output:
    """What a model of the task ``stream`` gave for a frame.

    Attributes:
        tensors: by the manifest's names, as the model gave them, without the batch axis.
        pictures: by name, the outputs that the manifest calls pictures or masks: uint8 (height, width, 3).
        frame_index: the frame's own index.
        seconds: the frame's time.
        dropped: frames of this session that were dropped since its last answer.
        timings: where the time went.
    """

    tensors: Mapping[str, npt.NDArray[Any]]
    pictures: Mapping[str, Image]
    frame_index: int
    seconds: float
    dropped: int = 0
    timings: Timings = field(default_factory=Timings)


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
        dropped: frames of this scene that were dropped since its last answer.
        timings: where the time went; answers that differ in nothing else are equal.
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
    dropped: int = 0
    timings: Timings = field(default_factory=Timings, compare=False)

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


@dataclass(frozen=True, slots=True)
class Plain:
    """An answer of a task of somebody's own, as the wire has it.

    Attributes:
        kind: the name of its class at the server.
        values: its fields, as JSON has them.
        frame_index: the frame's own index.
        dropped: frames of this session that were dropped since its last answer.
        timings: where the time went.
    """

    kind: str
    values: Mapping[str, Any]
    frame_index: int
    dropped: int = 0
    timings: Timings = Timings()


def stamped(answer: AnyAnswer, **known: Any) -> AnyAnswer:
    """The answer with those of ``dropped`` and ``timings`` that its class has, if it is a dataclass."""
    has = getattr(type(answer), "__dataclass_fields__", None)
    if has is None:
        return answer
    fit = {name: value for name, value in known.items() if name in has}
    return replace(answer, **fit)  # type: ignore[type-var]
