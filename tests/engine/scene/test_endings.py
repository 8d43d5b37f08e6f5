"""How targets end, merge and change places, and a budget in time: what the answers say, and what is left."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
from framestate.engine import Engine
from framestate.engine.scene import Detections, Scene, SceneAnswer, SceneOptions
from framestate.errors import FrameError
from framestate.vision import Frame, Image
from framestate.vision.synthetic import demo_clip

from .conftest import Watched, no_detections

OpenEngine = Callable[..., Engine]
Four = tuple[float, float, float, float]
Colour = tuple[int, int, int]
ONE, OTHER = (20.0, 20.0, 40.0, 40.0), (110.0, 70.0, 40.0, 40.0)
UNSEEN = SceneOptions(look_every=60.0)
"""Without looks, which a tiny model makes at random."""


def still(number: int, image: Image | None = None) -> Frame:
    """A frame of a video in which nothing moves."""
    if image is None:
        image = np.random.default_rng(0).integers(0, 255, (144, 192, 3), np.uint8)
    return Frame(image, number, Fraction(1, 25), number)


def detected(*boxes: Four) -> Detections:
    return Detections.from_xywh(boxes, [0.9] * len(boxes))


def test_a_target_that_is_not_seen_is_lost_and_then_ended(open_scenes_engine: OpenEngine) -> None:
    engine = open_scenes_engine()
    options = SceneOptions(look_every=60.0, patience=0.2, keep=0.4)
    with Scene(engine, options) as scene:
        answers = [scene.update(still(0), detected(ONE, OTHER))]
        answers += [scene.update(still(number), detected(OTHER)) for number in range(1, 16)]
        assert [one.id for one in answers[0]] == [1, 2]
        assert any(1 in answer.lost for answer in answers)
        assert [one for answer in answers for one in answer.ended] == [1]
        assert not any(answer.merged for answer in answers)
        assert all(1 not in answer.lost for answer in answers[-2:])
        assert (engine.slots.num_used, [one.id for one in scene.targets()]) == (1, [2])
        again = scene.update(still(16), detected(ONE, OTHER))
        assert {one.id for one in again} == {2, 3}  # no id is given twice


def test_what_is_detected_half_out_of_the_frame_keeps_its_id(open_scenes_engine: OpenEngine) -> None:
    """It goes as far as a sixth, is missed once, and comes back; then it leaves for good."""
    xs = [-20.0, -24.0, -28.0, -31.0, -32.0, -33.0, -33.0, -32.0, -29.0, -25.0]
    with Scene(open_scenes_engine(), UNSEEN) as scene:
        for number, x in enumerate(xs):
            box = (x, 60.0, 40.0, 40.0)
            answer = scene.update(still(number), detected(box) if number != 5 else no_detections())
            assert [one.id for one in scene.targets()] == [1]
            assert not answer.ended
        for number, x in enumerate((-29.0, -33.0), len(xs)):
            scene.update(still(number), detected((x, 60.0, 40.0, 40.0)))
        answers = [scene.update(still(number), no_detections()) for number in range(12, 24)]
        assert [one for answer in answers for one in answer.ended] == [1]


def test_a_target_by_hand_is_waited_for(open_scenes_engine: OpenEngine) -> None:
    engine, gone = open_scenes_engine(), np.full((144, 192, 3), 90, np.uint8)
    with Scene(engine, SceneOptions(look_every=60.0, patience=0.2, keep=0.4)) as scene:
        scene.update(still(0))
        scene.add(ONE)
        scene.add((-18.0, 60.0, 40.0, 40.0))  # about to leave
        answers = [scene.update(still(1), detected(ONE))]
        answers += [scene.update(still(number, gone), no_detections()) for number in range(2, 30)]
        assert [one.id for one in answers[0]] == [1, 2]
        assert answers[-1].lost[:1] == (1,)
        assert not any(answer.ended for answer in answers)
        scene.target(1).correct(OTHER)
        assert 1 in [one.id for one in scene.update(still(30, gone))]
        blob = scene.snapshot()
    with Scene.restore(engine, blob) as again:
        assert [one.id for one in again.targets()] == [1, 2]


def test_a_target_by_hand_is_followed_by_its_session_until_a_detection_meets_it() -> None:
    clip = list(demo_clip(3, 14, (320, 180)))
    frames = [Frame(image, number, Fraction(1, 25), number) for number, (image, _, _) in enumerate(clip)]
    seldom = SceneOptions(look_every=60.0)
    with Engine.load("tracker-nano", runtime="onnx", threads=1, capacity=2) as engine:
        with engine.open(frames[0], box=clip[0][1]) as session:
            alone = [session.push(frame) for frame in frames[1:11]]
        with Scene(engine, seldom) as scene:
            scene.update(frames[0])
            scene.add(clip[0][1])
            found = [scene.update(frame).targets for frame in frames[1:9]]
            blob = scene.snapshot()
        with Scene.restore(engine, blob, seldom) as scene:
            found += [scene.update(frame).targets for frame in frames[9:11]]
            for track, (one,) in zip(alone, found, strict=True):
                assert (one.box, one.score, one.status) == (track.box, track.score, track.status)
            assert scene.update(frames[11], detected(clip[11][1].xywh)).looked == ()
            assert not all(scene.update(frame).looked for frame in frames[12:])  # as any other


def test_a_target_of_an_earlier_frame_is_searched_for(open_scenes_engine: OpenEngine) -> None:
    engine = open_scenes_engine()
    frames = [still(number) for number in range(6)]
    with Scene(engine, UNSEEN) as scene:
        for frame in frames[:4]:
            scene.update(frame)
        target = scene.add(ONE, "koi", frames[1])
        assert scene.update(frames[4]).looked == (1,)
        target.correct(OTHER, frames[2])
        assert scene.update(frames[5]).looked == (1,)
        assert engine.slots.num_used == 1
        with pytest.raises(FrameError):
            scene.add(ONE, "", Frame(np.zeros((40, 40, 3), np.uint8), 9, Fraction(1, 25), 9))
        blob = scene.snapshot()
    with Scene.restore(engine, blob, UNSEEN) as again:
        assert again.snapshot() == blob


def test_two_targets_that_turn_out_to_be_one_are_merged(open_scenes_engine: OpenEngine) -> None:
    engine = open_scenes_engine()
    with Scene(engine, UNSEEN) as scene:
        for number in range(3):
            scene.update(still(number), detected(ONE, OTHER) if number == 2 else detected(ONE))
        scene.target(2).correct((ONE[0] + 4, *ONE[1:]))
        answer = scene.update(still(3), detected(ONE))
        assert (answer.merged, answer.ended) == (((2, 1),), (2,))
        assert [one.id for one in answer] == [1]
        assert engine.slots.num_used == 1
        assert scene.update(still(4), no_detections()).merged == ()


def test_a_budget_of_time_lets_at_least_one_look_be_and_says_who_waits(
    open_scenes_engine: OpenEngine, scenes: list[Watched]
) -> None:
    seen: dict[float, list[SceneAnswer]] = {}
    for budget in (1e-6, 1e6):
        options = SceneOptions(look_every=0.04, open_score=0.4, show_score=0.4, budget_ms=budget)
        with Scene(open_scenes_engine(), options) as scene:
            seen[budget] = [scene.update(moment.frame, found) for moment, found in scenes[0]]
    tight, wide = seen.values()
    assert all(len(answer.looked) <= 1 for answer in tight)
    assert any(answer.looked for answer in tight)
    assert any(answer.skipped for answer in tight)
    assert not any(answer.skipped for answer in wide)
    assert any(len(answer.looked) > 1 for answer in wide)


def coloured(
    left: tuple[int, int, int], right: tuple[int, int, int], edges: tuple[int, int, int, int]
) -> Image:
    image = np.full((144, 192, 3), 128, np.uint8)
    image[40:100, edges[0] : edges[1]] = left
    image[40:100, edges[2] : edges[3]] = right
    return image


def test_swapped_targets_get_their_sessions_once_there_is_room(open_scenes_engine: OpenEngine) -> None:
    """Of two that met one had no session; a session is named by its target, whoever it was given to since."""
    engine, red, blue = open_scenes_engine(capacity=2), (220, 30, 30), (30, 30, 220)
    together, parted = coloured(red, blue, (40, 72, 72, 104)), coloured(blue, red, (30, 70, 84, 124))
    guest = engine.open(still(0), box=ONE)
    with Scene(engine, UNSEEN) as scene:
        first = scene.update(still(0, together), detected((40, 40, 40, 60), (64, 40, 40, 60)))
        assert [number for number, _ in first.failed] == [2]
        answer = scene.update(still(1, parted), detected((30, 40, 40, 60), (84, 40, 40, 60)))
        assert answer.swapped == ((1, 2),)
        guest.close()
        apart = detected((30, 40, 40, 60), (84, 40, 40, 60))
        answers = [scene.update(still(number, parted), apart) for number in (2, 3)]
        assert answers[-1].failed == ()
        assert engine.slots.num_used == 2
        blob = scene.snapshot()
    with Scene.restore(engine, blob, UNSEEN) as again:
        assert again.snapshot() == blob


def test_a_scene_goes_on_with_pictures_of_another_size_for_motion(
    open_scenes_engine: OpenEngine, scenes: list[Watched]
) -> None:
    with Scene(open_scenes_engine()) as scene:
        for moment, found in scenes[0][:6]:
            scene.update(moment.frame, found)
        blob = scene.snapshot()
    for side in (64, 4000):
        with Scene.restore(open_scenes_engine(), blob, SceneOptions(flow_side=side)) as again:
            answers = [again.update(moment.frame) for moment, _ in scenes[0][6:9]]
            assert len(answers[-1]) == len(answers[0]) > 0
