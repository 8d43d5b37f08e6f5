"""What may not be the target: it is doubted for longer, looked for elsewhere, and held to its size."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from framestate.engine.tracking.looks import Looks
from framestate.errors import OptionError
from framestate.vision import Box

from .followed import MEMORY, Followed
from .test_looks import ALIKE, FAINT, LOOKING, OPEN, UNLIKE, step, target
from .test_sweep import FAR, NOTHING, WIDE
from .test_target import OPTIONS, START, at, seen

AGAIN = replace(LOOKING, look_again=0.1)
RIVALS = replace(LOOKING, rivals_every=2, rival_lead=0.2)


def following(options: Any, *, doubtful: bool = False, margin: float = 1.0) -> Followed:
    memory = Followed(at(0, WIDE), START, options)
    looks = Looks.first(np.eye(4, dtype=np.float32)[0])
    memory.memory = replace(memory.memory, looks=replace(looks, doubtful=doubtful, margin=margin))
    return memory


def look(margin: float) -> Any:
    return np.array([margin, 0, 0, 0], np.float32)


def test_who_was_doubted_must_look_alike_to_be_claimed_again() -> None:
    for options, again in ((LOOKING, "tracking"), (AGAIN, "uncertain")):
        memory = following(options)
        assert step(memory, 1, seen(0.95), FAINT).status == "tracking", "nobody doubted it"
        assert step(memory, 2, seen(0.95), UNLIKE).status == "uncertain"
        assert step(memory, 3, seen(0.95), FAINT).status == again
        assert step(memory, 4, seen(0.95), OPEN).status == "tracking"


def test_a_doubted_target_is_looked_for_elsewhere_every_so_many_frames() -> None:
    for options, doubtful, asked in ((RIVALS, True, 3), (RIVALS, False, 0), (LOOKING, True, 0)):
        memory, places = following(options, doubtful=doubtful, margin=UNLIKE), []
        for frame in range(1, 7):
            step(memory, frame, seen(0.95), UNLIKE if doubtful else ALIKE)
            places += list(memory.rules.glances(memory.memory))
        assert len(places) == asked
        assert len({box.centre for box in places}) == asked, "each time somewhere else"


@pytest.mark.parametrize(
    ("box", "score", "margin", "taken"),
    [
        (FAR, 0.9, OPEN, True),
        (FAR, 0.9, FAINT, False),  # no better than what is followed
        (FAR, 0.9, None, False),  # nobody looked
        (FAR, 0.5, ALIKE, False),  # too faint
        (START, 0.9, ALIKE, False),  # it is what is followed
    ],
)
def test_only_what_is_clearly_more_alike_takes_its_place(
    box: Box, score: float, margin: float | None, taken: bool
) -> None:
    memory = following(RIVALS, doubtful=True, margin=-0.1)
    step(memory, 1, seen(0.95), -0.1)
    memory.memory = memory.rules.glanced(memory.memory, seen(score, box), margin)
    assert (memory.candidate is not None) == taken
    if taken:
        step(memory, 2, seen(score, box), margin)
        assert memory.elsewhere
        assert memory.box.centre == pytest.approx(box.centre)
        assert (memory.status, memory.unconfirmed) == ("uncertain", RIVALS.confirm - 1)


def test_a_rival_that_was_not_one_costs_a_frame_and_no_more() -> None:
    for second, margin in ((NOTHING, None), (seen(0.9, FAR), FAINT), (seen(0.9, FAR), UNLIKE)):
        memory = following(RIVALS, doubtful=True, margin=-0.1)
        step(memory, 1, seen(0.95), -0.1)
        memory.memory = memory.rules.glanced(memory.memory, seen(0.9, FAR), ALIKE)
        step(memory, 2, second, margin)
        assert (memory.candidate, memory.unseen, memory.status) == (None, 1, "uncertain")
        assert memory.box.centre == pytest.approx(START.centre, abs=1)
        step(memory, 3, seen(0.95), OPEN)
        assert (memory.elsewhere, memory.unseen, memory.status) == (False, 0, "tracking")


def test_what_is_found_has_about_the_size_that_was_lost() -> None:
    """A margin falls by ``look_size`` for each doubling of extent or shape, unless the frame cuts the box."""
    held = target(lost=3)
    rules = type(held.rules)(replace(LOOKING, look_size=0.1))
    w, h = held.usual_size

    def margin(width: float, height: float, at: tuple[float, float] = (100, 100)) -> float:
        found = rules.looks.margin(held.memory, seen(0.9, Box.from_centre(*at, width, height)), look(0.5))
        assert found is not None
        return found

    assert margin(w, h) == pytest.approx(0.5)
    assert margin(2 * w, h) == pytest.approx(0.3), "twice the extent, twice as wide for its height"
    assert margin(2 * w, 2 * h) == margin(w / 2, h / 2) == pytest.approx(0.3)
    assert margin(2 * w, 2 * h, (0, 100)) == pytest.approx(0.5)
    twice = seen(0.9, Box.from_centre(100, 100, 2 * w, 2 * h))
    followed = following(replace(LOOKING, look_size=0.1)).memory
    assert rules.looks.margin(followed, twice, look(0.5)) == pytest.approx(0.5), "it was never lost"
    assert rules.looks.margin(replace(followed, unconfirmed=2), twice, look(0.5)) == pytest.approx(0.3)


def test_of_a_target_that_leaves_too_little_is_not_claimed_and_still_followed() -> None:
    for share, status in ((0.0, "tracking"), (0.3, "uncertain")):
        memory = Followed(
            at(0, WIDE), Box(2, 100, 40, 20), replace(OPTIONS, cut_least=share, usual_rate=0.01)
        )
        for frame, left in enumerate((-2.0, -8.0, -14.0, -18.0), 1):
            memory.moved(at(frame, WIDE), seen(0.95, Box(left, 100, 40, 20)))
            assert memory.status == "tracking", "half of it is there"
        for frame, width in enumerate((26.0, 18.0, 10.0), 5):  # what is left of it is seen as the whole
            memory.moved(at(frame, WIDE), seen(0.95, Box(0, 100, width, 20)))
        assert (memory.status, memory.unseen) == (status, 0)


def test_a_snapshot_goes_on_in_the_middle_of_a_contest() -> None:
    memory = following(RIVALS, doubtful=True, margin=-0.1)
    memory.memory = memory.rules.glanced(memory.memory, seen(0.9, FAR), ALIKE)
    back = MEMORY.read(*memory.kept)
    assert (back.candidate, back.status) == (memory.candidate, "tracking")
    assert back.looks is not None
    assert back.looks.doubtful


@pytest.mark.parametrize(
    "wrong",
    [
        {"look_again": 2.5},
        {"look_again": float("nan")},
        {"look_size": -0.1},
        {"look_size": float("inf")},
        {"rivals_every": -1},
        {"rival_lead": -0.1},
        {"cut_least": 1.1},
    ],
)
def test_bad_options_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(OptionError):
        replace(OPTIONS, **wrong)
