"""Answers that come late: boxes between two detections are put right, ids and frames stay."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from framestate.engine.scene import Delayed, SceneAnswer, Sighting
from framestate.errors import OptionError
from framestate.vision import Box


def sighting(box: Box, source: str = "carried", number: int = 1) -> Sighting:
    return Sighting(number, box, 0.8, "tracking", "bird", source)


def answer(index: int, *targets: Sighting, **more: tuple[object, ...]) -> SceneAnswer:
    return SceneAnswer(index, index / 25, targets, **more)  # type: ignore[arg-type]


def late(answers: Sequence[SceneAnswer], frames: int) -> list[SceneAnswer]:
    delayed = Delayed(frames)
    told = [delayed.add(one) for one in answers]
    assert [one is None for one in told] == [place < frames for place in range(len(answers))]
    return [one for one in told if one is not None] + delayed.rest()


def truth(index: int) -> Box:
    return Box(10 + 3 * index, 20 - index, 30, 40)


def drifting(frames: int, every: int, drift: float = 0.5) -> list[SceneAnswer]:
    """A target that is carried too slowly from one detection to the next."""
    found = []
    for index in range(frames):
        since, box = index % every, truth(index)
        off = Box(box.x - drift * since, box.y, box.w, box.h)
        found.append(answer(index, sighting(off, "carried" if since else "detected")))
    return found


@pytest.mark.parametrize("frames", [4, 5, 12, 100])
def test_a_drift_is_spread_over_the_frames_before(frames: int) -> None:
    given = drifting(16, 5)
    told = late(given, frames)
    assert [one.frame_index for one in told] == list(range(16))
    for index, one in enumerate(told[:16]):
        (found,) = one.targets
        assert found.box.xywh == pytest.approx(truth(index).xywh), index
        assert (found.id, found.label, found.source) == (1, "bird", given[index].targets[0].source)


def test_what_no_detection_followed_is_as_it_was() -> None:
    given = drifting(9, 5)
    assert late(given, 20)[6:] == given[6:]
    alone = [answer(index, sighting(truth(index), number=7)) for index in range(4)]
    assert late(alone, 2) == alone


def test_what_is_still_held_is_put_right() -> None:
    """Too short a delay helps the last frames before a detection; those that were told stay."""
    given = drifting(11, 10)
    told = late(given, 3)
    assert told[:7] == given[:7]
    for index in (7, 8, 9):
        (found,) = told[index].targets
        assert found.box.xywh == pytest.approx(truth(index).xywh)


def test_out_of_sight_between_two_detections_it_stays_so() -> None:
    other = sighting(Box(100, 100, 5, 5), number=2)
    given = [answer(0, sighting(truth(0), "detected"), other)]
    given += [answer(1, sighting(truth(9)), other)]
    given += [answer(index, other, lost=(1,)) for index in (2, 3)]
    given += [answer(4, sighting(truth(4), "detected"), other)]
    assert late(given, 10) == given


@pytest.mark.parametrize("kind", ["swapped", "merged"])
def test_nothing_is_put_right_across_an_exchange_of_ids(kind: str) -> None:
    given = drifting(6, 5)
    given[3] = answer(3, *given[3].targets, **{kind: ((1, 2),)})
    assert late(given, 10) == given


def test_a_size_that_changes_is_spread_evenly() -> None:
    given = [answer(0, sighting(Box.from_centre(50, 50, 10, 20), "detected"))]
    given += [answer(index, sighting(Box.from_centre(50, 50, 10, 20))) for index in (1, 2, 3)]
    given += [answer(4, sighting(Box.from_centre(50, 50, 160, 20), "detected"))]
    assert [one[0].box.w for one in late(given, 9)] == pytest.approx([10, 20, 40, 80, 160])
    assert [one[0].box.centre for one in late(given, 9)] == [pytest.approx((50, 50))] * 5


@pytest.mark.parametrize("frames", [0, -1, 1001])
def test_delays_that_are_none_are_refused(frames: int) -> None:
    with pytest.raises(OptionError, match="1 to 1000"):
        Delayed(frames)
