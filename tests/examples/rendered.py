"""A rendered clip with true boxes, as a sequence of an evaluation"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from framestate.vision import Box, Frame
from framestate.vision.synthetic import Scene


@dataclass
class Rendered:
    """The first ``count`` frames of a scene."""

    scene: Scene
    count: int = 100

    @property
    def truth(self) -> np.ndarray[Any, Any]:
        return np.array([self.scene.box(index).xywh for index in range(self.count)], np.float64)

    @property
    def first_box(self) -> Box:
        return self.scene.box(0)

    def frames(self) -> Iterator[Frame]:
        for index in range(self.count):
            yield Frame(self.scene.render(index), index, Fraction(1, 25), index)
