"""examples/far_returns.py: a target that goes away, and is back a frame further on."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from framestate.engine import Track
from framestate.vision import Box, Image
from framestate.vision.synthetic import Scene

from .rendered import Rendered


def test_a_target_goes_away_and_comes_back_elsewhere(example: ModuleType) -> None:
    clip, one, other = (Rendered(Scene(seed, 100, (160, 96))) for seed in (0, 1, 2))
    shown = list(example.made(clip, one, other))
    assert len(shown) == 40 + 50 + 60
    assert {image.shape for image, _, _ in shown} == {(96, 320, 3)}
    np.testing.assert_array_equal(shown[0][0][:, :160], clip.scene.render(0))
    np.testing.assert_array_equal(shown[90][0][:, 160:], clip.scene.render(40))
    np.testing.assert_array_equal(shown[90][1], clip.truth[40] + [160, 0, 0, 0])
    assert [np.isnan(truth).any() for _, truth, _ in shown] == [False] * 40 + [True] * 50 + [False] * 60
    assert [back for _, _, back in shown] == [False] * 90 + [True] * 60


@dataclass
class Cheat:
    """An engine and its target: the boxes of a list, with one status."""

    boxes: list[np.ndarray[Any, Any]]
    status: str

    def open(self, image: Image, *, box: Box) -> Cheat:
        np.testing.assert_array_equal(box.xywh, self.boxes.pop(0))
        return self

    def push(self, image: Image) -> Track:
        return Track(Box(*np.nan_to_num(self.boxes.pop(0), nan=1.0)), 1.0, self.status, 0)  # type: ignore[arg-type]

    def close(self) -> None:
        assert not self.boxes


@pytest.mark.parametrize(("status", "claimed"), [("tracking", 1), ("lost", 0)])
@pytest.mark.parametrize("finds", [True, False])
def test_overlaps_count_after_the_return_and_claims_before(
    example: ModuleType, status: str, claimed: float, finds: bool
) -> None:
    boxes = [np.array([10.0, 10, 20, 20])] * 3 + [np.full(4, np.nan)] * 4 + [np.array([90.0, 10, 20, 20])] * 5
    shown = [(np.zeros((48, 160, 3), np.uint8), box, place >= 7) for place, box in enumerate(boxes)]
    answers = boxes if finds else [boxes[0]] * len(boxes)
    assert example.follow(Cheat(list(answers), status), iter(shown)) == (float(finds), claimed, finds)
