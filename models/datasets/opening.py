"""Data sets by the words of a recipe: ``sets = ["got10k:GOT-10k", "coco:coco"]``, ``ratio = [2, 1]``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...errors import OptionError
from ...vision.datasets.layouts import LAYOUTS, tracking_sequences
from ..tracking.clips import Clip, read_clips
from .coco import coco_stills
from .footage import FootageMix, FootageSet, SequenceSet
from .synthetic import RenderedSet

KINDS = (*LAYOUTS, "coco", "clips", "synthetic")
_PARTS = {"got10k": "train", "lasot": "train", "trackingnet": "train"}
"""What is learned from, of data sets that keep a part for tests."""


def open_footage(
    data: Path, sets: Sequence[str], ratio: Sequence[float] = ()
) -> tuple[FootageMix, dict[str, Any]]:
    """Data sets by ``kind:folder`` or ``kind/part:folder``, and what was found in each, for the manifest.

    Folders are relative to ``data``. Without a part, it is what the data set's authors train on. The kind
    ``clips`` is a folder of sequences as ``tracking.clips`` reads them; ``synthetic:64`` renders 64 of them.

    Raises:
        OptionError: a kind that there is not, no folder, or a ratio that does not fit.
        DataError: a folder that is not of that kind; the message says what was expected.
    """
    opened = [open_one(data, entry) for entry in sets]
    mix = FootageMix(opened, ratio)
    report = {entry: len(found) for entry, found in zip(sets, opened, strict=True)}
    return mix, {"sets": report, "ratio": list(ratio) or [1] * len(opened)}


def open_one(data: Path, entry: str) -> FootageSet:
    """One of the sets; see `open_footage`."""
    where, _, folder = entry.partition(":")
    kind, _, part = where.partition("/")
    if kind not in KINDS or not folder or (part and kind in ("clips", "synthetic")):
        raise OptionError(
            f"the data set {entry!r} is unknown",
            f"give kind:folder or kind/part:folder; kinds: {', '.join(KINDS)}",
        )
    if kind == "clips":
        return ClipSet(kind, read_clips(data / folder))
    if kind == "synthetic":
        if not folder.isdigit():
            raise OptionError(f"{entry} says no number", "give how many sequences, such as synthetic:64")
        return RenderedSet(int(folder))
    if kind == "coco":
        return coco_stills(data / folder, part or "train2017")
    chosen = part or _PARTS.get(kind, "all")
    return SequenceSet(kind, tracking_sequences(kind, data / folder, chosen))


@dataclass(frozen=True, eq=False)
class ClipSet:
    """Clips in memory as a data set."""

    name: str
    clips: list[Clip]

    def __len__(self) -> int:
        return len(self.clips)

    def footage(self, index: int) -> Clip:
        """See `FootageSet.footage`."""
        return self.clips[index]
