"""Anybody's detections: read by what they have; hostile ones refused, or bounded work."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from framestate.engine import Engine
from framestate.engine.scene import Detections, Scene, SceneOptions
from framestate.errors import BoxError, FramestateError, OptionError
from hypothesis import given, settings
from hypothesis import strategies as st

from .conftest import Watched

OpenEngine = Callable[..., Engine]
CORNERS = np.array([[10.0, 20.0, 40.0, 60.0], [1.0, 2.0, 4.0, 8.0]])
SIZES = [[10, 20, 30, 40], [1, 2, 3, 6]]


class Tensor:
    """As PyTorch's arrays are read."""

    def __init__(self, values: Any) -> None:
        self.values = values

    def cpu(self) -> Any:
        return np.asarray(self.values)


@pytest.mark.parametrize(
    ("found", "scores", "labels"),
    [
        (SIZES, (1, 1), ("", "")),
        (np.array([[*box, 0.5] for box in SIZES]), (0.5, 0.5), ("", "")),
        ([[*SIZES[0], 0.5, 2], [*SIZES[1], 0.25, 0]], (0.5, 0.25), ("2", "0")),
        ({"xyxy": CORNERS, "scores": [0.1, 0.2], "labels": ["a", "b"]}, (0.1, 0.2), ("a", "b")),
        ({"xywh": SIZES}, (1, 1), ("", "")),
        (
            SimpleNamespace(xyxy=CORNERS, confidence=np.array([0.5, 1]), class_id=np.array([3, 4]), data={}),
            (0.5, 1), ("3", "4"),
        ),
        (
            SimpleNamespace(xyxy=CORNERS, confidence=None, class_id=None, data={"class_name": ["x", "y"]}),
            (1, 1), ("x", "y"),
        ),
        (
            SimpleNamespace(
                names={0: "cat", 1: "dog"},
                boxes=SimpleNamespace(xyxy=Tensor(CORNERS), conf=Tensor([0.5, 0.6]), cls=Tensor([1.0, 0.0])),
            ),
            (0.5, 0.6), ("dog", "cat"),
        ),
    ],
)  # fmt: skip
def test_every_form_is_read(found: Any, scores: tuple[float, ...], labels: tuple[str, ...]) -> None:
    read = Detections.of(found)
    assert read.boxes.tolist() == SIZES
    assert read.scores.tolist() == list(scores)
    assert read.labels == labels


@pytest.mark.parametrize("nothing", [[], np.zeros((0, 4)), np.zeros((0, 6)), {"xyxy": []}])
def test_none_found_is_a_round_too(nothing: Any) -> None:
    assert len(Detections.of(nothing)) == 0


NAN, INFINITE = float("nan"), float("inf")
HOSTILE: list[tuple[Any, type[FramestateError]]] = [
    ([[NAN, 1, 5, 5]], BoxError),
    ([[1, 1, INFINITE, 5]], BoxError),
    ([[1, 1, -5, 5]], BoxError),
    ([[1, 1, 0, 5]], BoxError),
    ([[1e9, 1, 5, 5]], BoxError),
    ([[1, 1, 5, 5, NAN]], OptionError),
    ([[1, 1, 5, 5, 1.5]], OptionError),
    ([[1, 1, 5, 5, -0.1]], OptionError),
    ([[1, 2, 3]], OptionError),
    (np.zeros((2, 2, 4)), OptionError),
    ([["a", "b", "c", "d"]], OptionError),
    ("nothing", OptionError),
    (object(), OptionError),
    (7, OptionError),
    ({"xyxy": [[1, 1, 5, 5]], "xywh": [[1, 1, 4, 4]]}, OptionError),
    ({"boxes": []}, OptionError),
    ({"xywh": [[1, 1, 4, 4]], "scores": [0.5, 0.5]}, OptionError),
    ({"xywh": [[1, 1, 4, 4]], "labels": []}, OptionError),
    ({"xywh": [[1, 1, 4, 4]], "seconds": "now"}, OptionError),
    ({"xywh": [[1, 1, 4, 4]], "seconds": NAN}, OptionError),
    ({"xywh": [[10**400, 1, 4, 4]]}, OptionError),
    ({"xywh": [[1, 1, 4, 4, 2, 2, 4, 4]]}, OptionError),
    (SimpleNamespace(xyxy=None), OptionError),
    (SimpleNamespace(boxes=None, names={}), OptionError),
]


@pytest.mark.parametrize(("bad", "error"), HOSTILE)
def test_what_cannot_be_used_is_refused_and_the_scene_goes_on(
    open_scenes_engine: OpenEngine, scenes: list[Watched], bad: Any, error: type[FramestateError]
) -> None:
    with Scene(open_scenes_engine()) as scene:
        scene.update(scenes[0][0][0].frame, scenes[0][0][1])
        before = scene.snapshot()
        with pytest.raises(error) as raised:
            scene.update(scenes[0][1][0].frame, bad)
        assert raised.value.remedy
        assert scene.snapshot() == before
        assert scene.update(scenes[0][1][0].frame).frame_index == 1


@pytest.mark.alone
@pytest.mark.parametrize("kind", ["same", "grid", "outside", "huge"])
def test_thousands_are_bounded_work(open_scenes_engine: OpenEngine, scenes: list[Watched], kind: str) -> None:
    draw = np.random.default_rng(0)
    places = draw.uniform(0, 180, (5000, 2))
    boxes = {
        "same": np.full((5000, 4), 30.0),
        "grid": np.concatenate([places, np.full((5000, 2), 8.0)], axis=1),
        "outside": np.concatenate([places + 5000, np.full((5000, 2), 8.0)], axis=1),
        "huge": np.concatenate([places - 5000, np.full((5000, 2), 1e5)], axis=1),
    }[kind]
    options = SceneOptions(most_targets=20, most_detections=50, most_looks=4)
    with Scene(open_scenes_engine(), options) as scene:
        longest = 0.0
        for moment, _ in scenes[0][:6]:
            began = time.perf_counter()
            answer = scene.update(moment.frame, boxes)
            longest = max(longest, time.perf_counter() - began)
            assert len(scene.targets()) <= 20
            assert answer.ignored >= 4900
    assert longest < 5


row = st.tuples(
    *[st.floats(-300, 400) for _ in range(2)], *[st.floats(0.01, 500) for _ in range(2)], st.floats(0, 1)
)
rounds = st.lists(st.one_of(st.none(), st.lists(row, max_size=12)), min_size=1, max_size=8)


@settings(max_examples=12)
@given(rounds=rounds)
def test_whatever_detectors_say_the_answers_hold_together(
    tiny_bundle: Any, scenes: list[Watched], rounds: list[list[tuple[float, ...]] | None]
) -> None:
    ended: set[int] = set()
    seen: set[int] = set()
    with Engine.load(tiny_bundle, runtime="onnx", threads=1, capacity=16) as engine:
        with Scene(engine, SceneOptions(most_targets=12, look_every=0.05)) as scene:
            for (moment, _), found in zip(scenes[1], rounds, strict=False):
                answer = scene.update(moment.frame, found)
                ids = [one.id for one in answer]
                assert ids == sorted(set(ids))
                assert not (set(ids) | set(answer.lost)) & (ended | set(answer.ended))
                assert all(one.box.is_finite and one.box.w > 0 and one.box.h > 0 for one in answer)
                assert all(0 <= one.score <= 1 for one in answer)
                ended |= set(answer.ended)
                seen |= set(ids)
                assert len(scene.targets()) <= 12
        assert engine.slots.num_used == 0


def test_labels_can_be_shown() -> None:
    found = Detections.from_xywh(
        [(1, 2, 3, 4)] * 3, [0.9] * 3, ["a\x00b\n\x1b[2J", "\ud800x", "\N{FISH} \u00fc"]
    )
    assert list(found.labels) == ["a?b??[2J", "?x", "\N{FISH} \u00fc"]
