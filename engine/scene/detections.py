"""What a detector found in one frame, from whoever's class or plain numbers; checked, and bounded."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self
from unicodedata import category

import numpy as np
import numpy.typing as npt

from ...errors import BoxError, OptionError
from ...vision import Box
from .options import SceneOptions
from .overlap import overlaps

Numbers = npt.NDArray[np.float64]
_FORMS = (
    "give numbers (N, 4 to 6): x, y, w, h, score, class; or Detections, supervision.Detections, "
    "an Ultralytics result, a table with xyxy or xywh"
)
_LARGEST = 1e6


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """Boxes that a detector, or a person, found in one frame.

    Attributes:
        boxes: (N, 4) x, y, w, h in pixels.
        scores: (N,) in [0, 1].
        labels: N names of classes; empty where it says none.
        seconds: the time of their frame; None is that of the frame they come with.

    Raises:
        BoxError: a number is not finite or is beyond a million, or a side is not positive.
        OptionError: a score is not in [0, 1], the lengths differ, or the time is none.
    """

    boxes: Numbers
    scores: Numbers
    labels: tuple[str, ...]
    seconds: float | None = None

    def __post_init__(self) -> None:
        boxes, scores = self.boxes, self.scores
        if boxes.ndim != 2 or boxes.shape[1] != 4 or len({len(boxes), len(scores), len(self.labels)}) != 1:
            raise OptionError(
                f"boxes are {boxes.shape}, scores {scores.shape}, labels {len(self.labels)}", _FORMS
            )
        wrong = ~np.isfinite(boxes).all(1) | (np.abs(boxes) > _LARGEST).any(1) | (boxes[:, 2:] <= 0).any(1)
        if wrong.any():
            row = int(wrong.argmax())
            raise BoxError(
                f"detection {row} is x, y, w, h = {boxes[row].tolist()}",
                "give finite pixels, and a width and height above 0",
            )
        with np.errstate(invalid="ignore"):
            wrong = ~((scores >= 0) & (scores <= 1))
        if wrong.any():
            row = int(wrong.argmax())
            raise OptionError(f"detection {row} has the score {scores[row]}", "give a score from 0 to 1")
        when: object = self.seconds
        is_time = isinstance(when, int | float) and not isinstance(when, bool) and math.isfinite(when)
        if when is not None and not is_time:
            raise OptionError(f"the time of the detections is {str(when)[:40]!r}", "give seconds, or none")

    def __len__(self) -> int:
        return len(self.boxes)

    @classmethod
    def of(cls, given: Any) -> Self:
        """From what somebody has: see the remedy of the error. Raises as the class."""
        if isinstance(given, cls):
            return given
        try:
            return cls._read(given)
        except (TypeError, ValueError, KeyError, AttributeError, IndexError, OverflowError) as error:
            raise OptionError(
                f"{type(given).__name__} is no detections ({str(error)[:120]})", _FORMS
            ) from error

    @classmethod
    def from_xyxy(
        cls,
        corners: Any,
        scores: Any = None,
        labels: Sequence[Any] | None = None,
        seconds: float | None = None,
    ) -> Self:
        """From corners (N, 4): left, top, right, bottom. Without scores each is 1."""
        numbers = _fours(corners)
        boxes = np.concatenate([numbers[:, :2], numbers[:, 2:] - numbers[:, :2]], axis=1)
        return cls.from_xywh(boxes, scores, labels, seconds)

    @classmethod
    def from_xywh(
        cls, boxes: Any, scores: Any = None, labels: Sequence[Any] | None = None, seconds: float | None = None
    ) -> Self:
        """From boxes (N, 4): x, y, w, h. Without scores each is 1."""
        numbers = _fours(boxes)
        known = np.ones(len(numbers)) if scores is None else _numbers(scores).ravel()
        names = ("",) * len(numbers) if labels is None else tuple(map(named, labels))
        return cls(numbers, known, names, seconds)

    @classmethod
    def _read(cls, given: Any) -> Self:
        if isinstance(given, Mapping):
            unknown = set(given) - {"xyxy", "xywh", "scores", "labels", "seconds"}
            if unknown or ("xyxy" in given) == ("xywh" in given):
                raise ValueError("it has xyxy or xywh, and may have scores, labels, seconds")
            told = given.get("scores"), given.get("labels"), given.get("seconds")
            return (
                cls.from_xyxy(given["xyxy"], *told)
                if "xyxy" in given
                else cls.from_xywh(given["xywh"], *told)
            )
        if hasattr(given, "boxes") and hasattr(given, "names"):  # Ultralytics
            found, names = given.boxes, given.names
            classes = _numbers(found.cls).ravel().astype(int).tolist()
            return cls.from_xyxy(_numbers(found.xyxy), _numbers(found.conf), [names[one] for one in classes])
        if hasattr(given, "xyxy"):  # supervision
            names = (getattr(given, "data", None) or {}).get("class_name")
            if names is None:
                names = getattr(given, "class_id", None)
            return cls.from_xyxy(given.xyxy, getattr(given, "confidence", None), names)
        numbers = _numbers(given)
        if not numbers.size:
            numbers = numbers.reshape(0, 4)
        if numbers.ndim != 2 or not 4 <= numbers.shape[1] <= 6:
            raise ValueError(f"its shape is {numbers.shape}")
        scores = numbers[:, 4] if numbers.shape[1] > 4 else None
        labels = numbers[:, 5].astype(int).tolist() if numbers.shape[1] > 5 else None
        return cls.from_xywh(numbers[:, :4], scores, labels)

    def only(self, chosen: Any) -> Detections:
        """Those of the indices ``chosen``, in that order."""
        places = np.asarray(chosen, int)
        names = tuple(self.labels[place] for place in places)
        return Detections(self.boxes[places], self.scores[places], names, self.seconds)

    def fitting(self, width: int, height: int, options: SceneOptions) -> Detections:
        """The ones worth a look, the surest first: in the frame, no duplicates, at most so many.

        One that is larger than the frame is clipped to it; any other may reach over the edge.
        """
        order = np.argsort(-self.scores, kind="stable")
        order = order[self.scores[order] >= options.least_score]
        x, y, w, h = self.boxes[order].T
        shared_w = np.minimum(x + w, width) - np.maximum(x, 0)
        shared_h = np.minimum(y + h, height) - np.maximum(y, 0)
        inside = (shared_w > 0) & (shared_h > 0) & (shared_w * shared_h >= 1)
        found = self.only(order[inside][: 4 * options.most_detections])
        kept: list[int] = []
        shared = overlaps(found.boxes, found.boxes)
        for place in range(len(found)):
            if not kept or shared[place, kept].max() < options.duplicate:
                kept.append(place)
        found = found.only(kept[: options.most_detections])
        boxes = np.array([Box(*box).check(width, height).xywh for box in found.boxes.tolist()])
        return Detections(boxes.reshape(-1, 4), found.scores, found.labels, found.seconds)


def _fours(given: Any) -> Numbers:
    """(N, 4). Raises ValueError."""
    numbers = _numbers(given)
    if not numbers.size or numbers.shape == (4,):
        numbers = numbers.reshape(-1, 4)
    if numbers.ndim != 2 or numbers.shape[1] != 4:
        raise ValueError(f"boxes are {numbers.shape}, and not (N, 4)")
    return numbers


def _numbers(given: Any) -> Numbers:
    """An array of somebody's, also one of another library, on whatever device."""
    for name in ("detach", "cpu"):
        if hasattr(given, name):
            given = getattr(given, name)()
    return np.asarray(given, dtype=np.float64)


def named(given: Any) -> str:
    """What somebody calls a class, as text to be sent, kept and shown: a control character becomes "?"."""
    text = "".join("?" if category(one) == "Cc" else one for one in str(given)[:64])
    return text.encode("utf-8", "replace").decode()
