"""examples/far_returns.py: a target that goes away, and is back a frame further on."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from framestate.engine import Engine
from framestate.vision import Frame
from framestate.vision.synthetic import Scene


@dataclass
class Rendered:
    """A rendered clip, as a sequence."""

    scene: Scene
    count: int = 100

    @property
    def truth(self) -> np.ndarray[Any, Any]:
        return np.array([self.scene.box(index).xywh for index in range(self.count)], np.float64)

    def frames(self) -> Iterator[Frame]:
        for index in range(self.count):
            yield Frame(self.scene.render(index), index, Fraction(1, 25), index)


@pytest.fixture
def example(checkout: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("returns", checkout / "examples" / "far_returns.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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
    with Engine.load("tracker-nano", capacity=1, threads=1) as engine:
        overlap, claimed, _ = example.follow(engine, iter(shown))
    assert 0 <= overlap <= 1
    assert 0 <= claimed <= 1
