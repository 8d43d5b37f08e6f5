"""Who is shown, kept, or told apart while the scene is in doubt."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction

import cv2
import numpy as np
import pytest
from framestate.engine import Engine
from framestate.engine.scene import Detections, Scene, SceneOptions
from framestate.engine.scene.desk import Desk
from framestate.engine.scene.looking import Errand, settle
from framestate.engine.scene.memory import SceneMemory
from framestate.vision import Box, Frame, Image
from framestate.wire import Track

OpenEngine = Callable[..., Engine]
Four = tuple[float, float, float, float]
SIDE = 32
UNSEEN = SceneOptions(look_every=60.0)
"""Without looks but where the flow fails; a tiny model makes them at random."""


def texture(seed: int, width: int, height: int) -> Image:
    """Blots of about five pixels, which flow can follow."""
    grains = np.random.default_rng(seed).integers(0, 255, (height // 5 + 2, width // 5 + 2, 3), np.uint8)
    return np.asarray(cv2.resize(grains, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


def pictured(number: int, pan: int) -> Frame:
    """A thing that goes right, two pixels a frame beside a background that goes left by ``pan``."""
    image = texture(1, 400, 144)[:, number * pan : number * pan + 192].copy()
    left = 30 + 2 * number
    image[60 : 60 + SIDE, left : left + SIDE] = texture(2, SIDE, SIDE)
    return Frame(image, number, Fraction(1, 25), number)


def detected(*boxes: Four, scores: float = 0.9) -> Detections:
    return Detections.from_xywh(boxes, [scores] * len(boxes))


@pytest.mark.parametrize("pan", [0, 2])
def test_a_newcomer_that_moves_by_itself_is_shown_before_it_is_detected_again(
    open_scenes_engine: OpenEngine, pan: int
) -> None:
    """A doubtful box on what is behind is not shown, also where the camera moves."""
    thing, nothing = (32.0, 60.0, SIDE, SIDE), (120.0, 20.0, SIDE, SIDE)
    for options in (UNSEEN, SceneOptions(look_every=60.0, show_roamed=0.0)):
        with Scene(open_scenes_engine(), options) as scene:
            scene.update(pictured(0, pan), Detections.from_xywh(np.zeros((0, 4))))
            scene.update(pictured(1, pan), detected((150.0, 100.0, SIDE, SIDE)))
            answers = [scene.update(pictured(2, pan), detected(thing, nothing, scores=0.6))]
            answers += [scene.update(pictured(number, pan)) for number in range(3, 12)]
            mover, still = (one.id for one in scene.targets()[-2:])
            shown = [{one.id for one in answer} for answer in answers]
        assert not any(mover in ids for ids in shown[:2])
        assert (mover in shown[-1]) == (options is UNSEEN)
        assert not any(still in ids for ids in shown)


def still_frame(number: int) -> Frame:
    return Frame(texture(3, 192, 144), number, Fraction(1, 25), number)


def test_a_doubtful_box_that_nobody_found_again_ends_and_a_sure_one_is_kept(
    open_scenes_engine: OpenEngine,
) -> None:
    engine = open_scenes_engine()
    with Scene(engine, SceneOptions(look_every=60.0, missed_for=0.0)) as scene:
        both = Detections.from_xywh([(10, 10, 40, 40), (110, 70, 40, 40)], [0.6, 0.9])
        assert len(scene.update(still_frame(0), both)) == 2
        rounds = [scene.update(still_frame(number), detected()) for number in (1, 2)]
        assert rounds[0].lost == (2,)  # the surer one is the first
        assert [one.id for one in rounds[0]] == [1]
        assert (rounds[1].ended, rounds[1].lost) == ((2,), (1,))
        assert engine.slots.num_used == 1


def test_whom_the_detector_missed_twice_only_the_detector_brings_back(
    open_scenes_engine: OpenEngine,
) -> None:
    sure = (110.0, 70.0, 40.0, 40.0)
    with Scene(open_scenes_engine(), SceneOptions(look_every=0.04, missed_for=0.0)) as scene:
        for number in (0, 1):
            scene.update(still_frame(number), detected(sure))
        scene.update(still_frame(2), detected())
        assert scene.update(still_frame(3), detected()).lost == (1,)
        answers = [scene.update(still_frame(number)) for number in range(4, 12)]
        assert all(answer.looked == () and answer.lost == (1,) for answer in answers)
        assert [one.id for one in scene.update(still_frame(12), detected(sure))] == [1]


def test_a_look_that_lands_on_another_target_is_not_believed() -> None:
    """Two that cross stay two: the one that is harder to see is not drawn to the other."""
    desk = Desk.of(SceneOptions(), SceneMemory(), still_frame(0))
    one = desk.begin(Box(50, 50, 30, 30), score=0.9, label="", shown=True)
    other = desk.begin(Box(62, 50, 30, 30), score=0.9, label="", shown=True)
    for number in (one, other):
        desk.change(number, trust=0.0)
    before = desk.known[one]

    def looked(box: Box) -> Track:
        return Track(box, 0.95, "tracking", 0)

    settle(desk, Errand(one, "look", 1.0), looked(Box(60, 50, 30, 30)))
    assert desk.known[one].box == before.box
    assert desk.known[one].belief == before.belief
    assert desk.known[one].unsure == 1
    settle(desk, Errand(one, "look", 1.0), looked(Box(53, 50, 30, 30)))
    assert desk.known[one].box.x > before.box.x
    assert desk.known[one].unsure == 0


def painted(number: int, *things: tuple[int, int, tuple[int, int, int]]) -> Frame:
    image = np.full((144, 400, 3), 128, np.uint8)
    for left, top, colour in things:
        image[top : top + 24, left : left + 24] = colour
    return Frame(image, number, Fraction(1, 25), number)


@pytest.mark.parametrize(("second", "found"), [((30, 30, 220), True), ((220, 30, 30), False)])
def test_a_lost_target_is_found_far_away_only_where_its_looks_tell(
    open_scenes_engine: OpenEngine, second: tuple[int, int, int], found: bool
) -> None:
    """One of two targets is lost, and something of its colour is there six sizes away."""
    first = 220, 30, 30
    here, there, far = (20, 20, 24, 24), (20, 100, 24, 24), (164, 20, 24, 24)
    with Scene(open_scenes_engine(), SceneOptions(look_every=60.0, missed_for=0.0)) as scene:
        for number in (0, 1):
            scene.update(painted(number, (20, 20, first), (20, 100, second)), detected(here, there))
        gone = [scene.update(painted(number, (20, 100, second)), detected(there)) for number in range(2, 32)]
        assert gone[-1].lost == (1,)
        answer = scene.update(painted(32, (164, 20, first), (20, 100, second)), detected(there, far))
        assert {one.id for one in answer} == ({1, 2} if found else {2, 3})


@pytest.mark.parametrize(("frames", "found"), [(3, False), (16, True)])
def test_among_lookalikes_a_lost_target_is_found_where_it_may_have_got(
    open_scenes_engine: OpenEngine, frames: int, found: bool
) -> None:
    """Two and a half sizes away: too far for a moment, not for longer."""
    red = 220, 30, 30
    here, there, off = (20, 20, 24, 24), (20, 100, 24, 24), (80, 20, 24, 24)
    with Scene(open_scenes_engine(), SceneOptions(look_every=60.0, misses=1, missed_for=0.0)) as scene:
        for number in (0, 1):
            scene.update(painted(number, (20, 20, red), (20, 100, red)), detected(here, there))
        for number in range(2, frames):
            scene.update(painted(number, (20, 100, red)), detected(there))
        answer = scene.update(painted(frames, (80, 20, red), (20, 100, red)), detected(there, off))
        assert {one.id for one in answer} == ({1, 2} if found else {2, 3})
