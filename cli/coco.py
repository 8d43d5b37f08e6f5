"""Tracks as a COCO-video file: videos, images, categories, and annotations with ``track_id``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..vision import Frame, VideoReader
from .seen import Seen


class CocoVideo:
    """Collects what is seen in one video; ``bbox`` is x, y, w, h in pixels, numbers begin with 1.

    Args:
        source: the video; its frames are the images.
    """

    def __init__(self, source: VideoReader) -> None:
        self._name = source.path.name
        self._size = {"width": source.width, "height": source.height}
        self._images: list[dict[str, Any]] = []
        self._annotations: list[dict[str, Any]] = []
        self._categories: dict[str, int] = {}

    def add(self, frame: Frame, seen: Sequence[Seen]) -> None:
        """Takes what is seen in the next frame."""
        image = len(self._images) + 1
        self._images.append(
            {
                "id": image, "video_id": 1, "frame_id": frame.index, "seconds": round(frame.seconds, 6),
                "file_name": f"{self._name}/{frame.index:06d}", **self._size,
            }
        )  # fmt: skip
        for one in seen:
            kind = self._categories.setdefault(one.label or "object", len(self._categories) + 1)
            self._annotations.append(
                {
                    "id": len(self._annotations) + 1, "image_id": image, "video_id": 1, "category_id": kind,
                    "track_id": one.target, "instance_id": one.target, "iscrowd": 0,
                    "bbox": [round(value, 3) for value in one.box.xywh], "area": round(one.box.area, 3),
                    "score": round(one.score, 4), "status": one.status,
                }
            )  # fmt: skip

    @property
    def plain(self) -> dict[str, Any]:
        """The file, as JSON has it."""
        return {
            "videos": [{"id": 1, "name": self._name, **self._size}],
            "images": self._images,
            "annotations": self._annotations,
            "categories": [{"id": number, "name": name} for name, number in self._categories.items()],
        }
