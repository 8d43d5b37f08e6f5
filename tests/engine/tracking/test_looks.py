"""A look is judged by the margin between the target's own looks and those of its impostors."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from framestate.engine import Engine
from framestate.engine.tracking.looks import OTHERS, OWN, Looks, Vectors
from framestate.errors import OptionError, StateError
from framestate.vision import Box

from .followed import MEMORY, Followed
from .test_sweep import FAR, NOTHING, SWEEPS, WIDE
from .test_target import OPTIONS, START, at, seen

LOOKING = replace(SWEEPS, look_every=3, look_least=0.0, look_found=0.1, look_sure=0.4, confirm=5, carry=0.75)
ALIKE, OPEN, FAINT, UNLIKE = 0.5, 0.2, 0.05, -0.2
"""Margins: beyond doubt, good enough in a row, only not refused, and refused."""


def unit(rng: np.random.Generator, count: int) -> Vectors:
    raw = rng.normal(size=(count, 8)).astype(np.float32)
    return np.asarray(raw / np.linalg.norm(raw, axis=1, keepdims=True), np.float32)


def target(lost: int = 0) -> Followed:
    memory = Followed(at(0, WIDE), START, LOOKING)
    memory.memory = replace(memory.memory, looks=Looks.first(np.eye(4, dtype=np.float32)[0]))
    for frame in range(1, lost + 1):
        memory.moved(at(frame, WIDE), NOTHING)
    return memory


def step(memory: Followed, frame: int, measured: Any, margin: float | None) -> Followed:
    """A frame whose measurement was looked at, unless ``margin`` is None."""
    memory.predict(at(frame, WIDE))
    look = None if margin is None else np.array([margin, 0, 0, 0], np.float32)
    memory.memory, found = memory.rules.looks.looked(memory.memory, measured, look)
    assert (found is None) == (margin is None)
    assert found is None or found == pytest.approx(margin)
    memory.memory = memory.rules.observe(memory.memory, measured, found)
    return memory


def test_a_margin_takes_the_scale_of_the_target_away() -> None:
    own, other, between = np.eye(3, dtype=np.float32)
    looks = Looks.first(own)
    assert looks.margin_of(own) == pytest.approx(1)
    assert looks.with_other(other).margin_of(other) == pytest.approx(-1)
    alike = np.asarray((own + other) / np.sqrt(2), np.float32)  # as like the one as the other
    assert looks.with_other(other).margin_of(alike) == pytest.approx(0, abs=1e-6)
    assert looks.with_own(between).margin_of(between) == pytest.approx(1), "any own look will do"


def test_what_is_kept_is_bounded_new_and_keeps_the_first_look() -> None:
    vectors = unit(np.random.default_rng(0), 60)
    looks = Looks.first(vectors[0])
    for one in vectors[1:]:
        looks = looks.with_own(one).with_other(-one)
    assert (looks.own.shape, looks.others.shape) == ((OWN, 8), (OTHERS, 8))
    assert np.array_equal(looks.own[0], vectors[0])
    for kept in looks.own:
        assert looks.with_own(kept).own is looks.own, "it is known"
    before = looks.own.copy()
    looks.with_own(vectors[59])
    assert np.array_equal(looks.own, before), "a memory is a value"


def test_a_lost_target_is_not_taken_for_what_is_unlike_it() -> None:
    memory = step(target(lost=3), 4, seen(0.95), UNLIKE)
    assert memory.status == "lost"
    assert step(target(lost=3), 4, seen(0.95), OPEN).status == "uncertain", "it is confirmed first"
    assert step(target(lost=3), 4, seen(0.95), None).status == "uncertain", "nobody looked"


def test_a_look_beyond_doubt_confirms_at_once() -> None:
    def frames_until_tracking(margin: float | None) -> int:
        memory = target(lost=3)
        for frame in range(4, 30):
            if step(memory, frame, seen(0.95), margin).status == "tracking":
                return frame - 3
        return 0

    assert frames_until_tracking(ALIKE) == 2
    assert frames_until_tracking(OPEN) == frames_until_tracking(None) == LOOKING.confirm + 1
    assert frames_until_tracking(FAINT) == 0, "it is followed, and never claimed"


def test_elsewhere_it_is_refused_or_believed_at_first_sight() -> None:
    def found(margin: float | None) -> Followed:
        memory = target(lost=6)
        memory.memory = memory.rules.predict(memory.memory, at(7, WIDE))[0]
        assert memory.elsewhere
        memory.memory = memory.rules.observe(memory.memory, seen(0.9, FAR), margin)
        return memory

    assert found(ALIKE).box.centre == pytest.approx(FAR.centre)
    assert found(OPEN).candidate is not None
    assert found(UNLIKE).candidate is None
    assert found(UNLIKE).box.centre == pytest.approx(START.centre)
    assert memory_glanced(UNLIKE).candidate is None
    assert memory_glanced(OPEN).candidate is not None


def memory_glanced(margin: float) -> Followed:
    memory = target(lost=5)
    memory.memory = memory.rules.glanced(memory.memory, seen(0.9, FAR), margin)
    return memory


def test_a_doubted_target_is_followed_and_not_claimed() -> None:
    memory, plain = target(), target()
    for frame in range(1, 6):
        box = Box.from_centre(50 + 2 * frame, 40, 20, 10)
        step(memory, frame, seen(0.95, box), UNLIKE)
        step(plain, frame, seen(0.95, box), None)
        assert (memory.status, plain.status) == ("uncertain", "tracking")
        assert memory.box == plain.box, "where it is does not change"
        assert memory.rules.carry(memory.memory) == LOOKING.carry
        assert not memory.wants_refresh
        assert not memory.rules.looks.learns_look(memory.memory)
    assert step(memory, 6, seen(0.95), FAINT).status == "tracking"


def test_it_is_looked_at_now_and_then_and_each_time_when_it_matters() -> None:
    memory, asked = target(), []
    for frame in range(1, 10):
        asked.append(memory.rules.looks.wants_look(memory.memory, seen(0.95)))
        step(memory, frame, seen(0.95), ALIKE if asked[-1] else None)
    assert asked == [False, False, True] * 3
    step(memory, 10, seen(0.95), UNLIKE)
    assert memory.rules.looks.wants_look(memory.memory, seen(0.95)), "it is doubted"
    lost = target(lost=3)
    assert lost.rules.looks.wants_look(lost.memory, seen(0.95))
    assert not lost.rules.looks.wants_look(lost.memory, NOTHING), "there is nothing to look at"


def test_without_looks_nothing_changes() -> None:
    asking, silent = Followed(at(0), START, LOOKING), Followed(at(0), START, replace(LOOKING, look_every=0))
    for frame in range(1, 6):
        assert not asking.rules.looks.wants_look(asking.memory, seen(0.9))
        assert asking.rules.looks.looked(asking.memory, seen(0.9), None) == (asking.memory, None)
        assert asking.moved(at(frame), seen(0.9)).kept[0] == silent.moved(at(frame), seen(0.9)).kept[0]


def test_a_snapshot_keeps_what_is_known_of_looks() -> None:
    memory = target()
    vectors = unit(np.random.default_rng(1), 3)
    looks = Looks(vectors[:2], vectors[2:], margin=0.25, since=2, doubtful=True)
    memory.memory = replace(memory.memory, looks=looks)
    plain, arrays = memory.kept
    back = MEMORY.read(plain, arrays)
    assert back.looks is not None
    assert np.array_equal(back.looks.own, looks.own)
    assert np.array_equal(back.looks.others, looks.others)
    assert (back.looks.margin, back.looks.since, back.looks.doubtful) == (0.25, 2, True)


@pytest.mark.parametrize(
    ("own", "others"),
    [((0, 8), (2, 8)), ((2, 8), (2, 7)), ((OWN + 1, 8), (2, 8)), ((2, 8), (OTHERS + 1, 8))],
)
def test_looks_that_cannot_be_are_refused(own: tuple[int, int], others: tuple[int, int]) -> None:
    memory = target()
    looks = Looks(np.zeros(own, np.float32), np.zeros(others, np.float32))
    with pytest.raises(StateError, match="looks"):
        memory.rules.check(replace(memory.memory, looks=looks))


@pytest.mark.parametrize(
    "wrong",
    [
        {"look_least": 0.5, "look_sure": 0.4},
        {"look_least": -2.5},
        {"look_sure": 3.0},
        {"look_every": -1},
        {"look_least": float("nan")},
        {"look_least": 0.1, "look_found": 0.0, "look_sure": 0.5},
    ],
)
def test_bad_options_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(OptionError):
        replace(OPTIONS, **wrong)


def test_the_shipped_tracker_tells_a_target_from_another(scene: Any) -> None:
    """Another thing in its place is less like it; moved a little, the target is still itself."""
    first, again, other, box = scene
    with Engine.load("tracker-nano", capacity=1, threads=1) as engine:
        session = engine.open(first, box=box)
        for _ in range(10):
            session.push(first)
        looks = session.memory.looks
        assert np.linalg.norm(looks.own, axis=1) == pytest.approx(1, abs=1e-4)
        assert len(looks.others) > 2
        kept = session.snapshot()
        last = [session.push(again) for _ in range(8)][-1]
        assert (last.status, session.memory.looks.doubtful) == ("tracking", False)
        margins = [session.memory.looks.margin]
        session.close()
        session = engine.restore(kept)
        for _ in range(8):
            session.push(other)
        margins.append(session.memory.looks.margin)
        assert margins[1] < margins[0] - 0.4
        session.close()


@pytest.fixture
def scene() -> Any:
    """A chequered square in a field of leaves; moved a little; and a striped disc in its place."""
    rng = np.random.default_rng(3)
    field = np.repeat(np.repeat(rng.integers(60, 120, (24, 32, 3)), 10, 0), 10, 1).astype(np.uint8)
    tile = np.where(np.indices((40, 40)).sum(0)[..., None] // 8 % 2, (230, 40, 40), (250, 250, 240))
    ys, xs = np.indices((40, 40))
    disc = np.where((ys // 5 % 2)[..., None], (20, 90, 220), (10, 20, 60))
    round_ = ((ys - 20) ** 2 + (xs - 20) ** 2 < 400)[..., None]

    def shown(left: int, top: int, *, other: bool = False) -> Any:
        image = field.copy()
        part = image[top : top + 40, left : left + 40]
        part[...] = np.where(round_, disc, part) if other else tile
        return image

    return shown(140, 100), shown(143, 102), shown(140, 100, other=True), Box(140, 100, 40, 40)
