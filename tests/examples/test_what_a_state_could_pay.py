"""examples/what_a_state_could_pay.py: a tracker that is told the truth, of one thing at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from framestate.engine import Engine
from framestate.vision.synthetic import Scene

from .rendered import Rendered


@pytest.fixture(scope="module")
def clip() -> Rendered:
    return Rendered(Scene(0, 12, (160, 96)), 12)


@pytest.fixture
def engine(example: ModuleType) -> Iterator[Engine]:
    with Engine.load("tracker-nano", task=example.Told, runtime="onnx", threads=1, capacity=1) as engine:
        yield engine


def boxes(engine: Engine, clip: Rendered) -> list[tuple[float, ...]]:
    frames = clip.frames()
    with engine.open(next(frames), box=clip.first_box) as session:
        return [session.push(frame).box.xywh for frame in frames]


def test_told_nothing_it_is_the_tracker_that_ships(engine: Engine, clip: Rendered) -> None:
    with Engine.load("tracker-nano", runtime="onnx", threads=1, capacity=1) as shipped:
        assert boxes(engine, clip) == boxes(shipped, clip)


def test_what_it_is_told_changes_answers_after_it(
    example: ModuleType, engine: Engine, clip: Rendered
) -> None:
    told: Any = engine.task
    plain = boxes(engine, clip)
    told.truth = {5: clip.scene.box(5)}
    for name, told.telling in example.tellings([5]):
        found = boxes(engine, clip)
        assert found[:5] == plain[:5], name  # of the sixth frame it hears after its answer
        if name in ("place", "look 5", "mean 5", "place + look 5"):
            assert found[5:] != plain[5:], name


def test_its_own_look_is_taken_only_where_it_is_right(
    example: ModuleType, engine: Engine, clip: Rendered
) -> None:
    told: Any = engine.task
    plain = boxes(engine, clip)
    told.telling = example.Telling(every=1, own=True)
    told.truth = {index: replace(clip.scene.box(index), x=0.0, y=0.0, w=4.0, h=4.0) for index in range(12)}
    assert boxes(engine, clip) == plain
    told.truth = dict(enumerate(clip.scene.box(index) for index in range(12)))
    assert boxes(engine, clip) != plain


def test_boxes_of_no_target_are_not_told(example: ModuleType) -> None:
    assert example.inside(np.array([5.0, 5, 10, 10]), 20, 20)
    for row in ([np.nan] * 4, [20.0, 5, 10, 10], [-10.0, 5, 10, 10]):
        assert not example.inside(np.array(row), 20, 20)
