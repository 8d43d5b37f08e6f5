"""Rendered sequences as a data set: no files are needed, and sequence N is the same wherever it is drawn."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from ...errors import OptionError
from ...vision.datasets.sequence import usable
from ...vision.pixels import Image
from ...vision.synthetic import Scene
from .footage import LEAST_AREA, Boxes

FRAMES = 60
SIZE = (320, 240)


@dataclass(frozen=True, eq=False)
class RenderedFootage:
    """One rendered clip, its frames made when they are asked for; without a target where it is hidden."""

    name: str
    seed: int

    @cached_property
    def scene(self) -> Scene:
        """What is rendered."""
        return Scene(self.seed, FRAMES, SIZE)

    @cached_property
    def boxes(self) -> Boxes:
        """(frames, 4) x, y, w, h in pixels; NaN where nothing of the target is to be seen."""
        boxes = np.full((FRAMES, 4), np.nan)
        for index in range(FRAMES):
            if self.scene.visible(index) > 0:
                box = self.scene.box(index)
                boxes[index] = box.x, box.y, box.w, box.h
        return boxes

    @cached_property
    def present(self) -> npt.NDArray[np.int64]:
        """Indices of frames with a usable box."""
        return usable(self.boxes, LEAST_AREA)

    def pixels(self, index: int) -> Image:
        """A frame as RGB uint8 (H, W, 3)."""
        return self.scene.render(index)


@dataclass(frozen=True)
class RenderedSet:
    """So many rendered clips. Raises OptionError for fewer than one."""

    count: int
    name: str = "synthetic"

    def __post_init__(self) -> None:
        if self.count < 1:
            raise OptionError(f"{self.count} rendered sequences", "give at least one, such as synthetic:64")

    def __len__(self) -> int:
        return self.count

    def footage(self, index: int) -> RenderedFootage | None:
        """See `FootageSet.footage`."""
        found = RenderedFootage(f"{self.name}/{index}", index)
        return found if len(found.present) else None
