"""Frames made side by side are the frames made one by one, in their order; failures end the run at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from framestate.engine import Engine
from framestate.errors import FrameError, FramestateError, SessionError, StepError, VideoError
from framestate.vision import Frame, Image

from .conftest import TICK, Counting, frames

Pictures = Callable[..., Image]


@pytest.mark.parametrize("lookahead", [False, True])
@pytest.mark.parametrize("lanes", [1, 2, 5])
def test_lanes_change_no_frame(
    engine: Engine, counting: Counting, picture: Pictures, lanes: int, lookahead: bool
) -> None:
    images = [picture(3 * step) for step in range(5)] + [picture(0, scene=1), picture(2, scene=1)]
    images.insert(3, images[2])  # a duplicate
    with engine.open(factor=3, lookahead=lookahead) as session:
        wanted = [one for frame in frames(images) for one in session.push(frame)] + list(
            session.flush() or ()
        )
        counts = session.memory.counts
    counting.calls.clear()
    with engine.open(factor=3, lookahead=lookahead) as session:
        found = list(session.ahead(frames(images), lanes))
        assert session.memory.counts == counts
        assert session.standing.ended
    assert [(one.pts, one.index) for one in found] == [(one.pts, one.index) for one in wanted]
    assert all(np.array_equal(one.image, other.image) for one, other in zip(found, wanted, strict=True))
    assert counting.calls.count("encode") <= len(images)
    assert counting.calls.count("motion") == counts.made / 2


@pytest.mark.parametrize("lanes", [1, 3])
def test_a_failure_comes_where_its_frame_would_have(
    engine: Engine, counting: Counting, picture: Pictures, lanes: int
) -> None:
    with engine.open(lookahead=True) as session:
        coming = session.ahead(frames([picture(step) for step in range(6)]), lanes)
        assert next(coming).index == 0
        counting.fail.add("interpolate")
        with pytest.raises(StepError, match="device was lost"):
            list(coming)


@pytest.mark.parametrize("lanes", [1, 3])
def test_after_a_failed_call_the_session_goes_on_where_it_stopped(
    engine: Engine, counting: Counting, picture: Pictures, lanes: int
) -> None:
    """Whatever flew beside the frame that failed never happened."""
    shown = frames([picture(3 * step) for step in range(7)])
    with engine.open(factor=2) as session:
        wanted = [one for frame in shown for one in session.push(frame)]
    with engine.open(factor=2) as session:
        found: list[Frame] = []
        coming = session.ahead(shown, lanes)
        found += [next(coming) for _ in range(4)]
        counting.fail.add("encode")
        with pytest.raises(StepError):
            found.extend(coming)
        counting.fail.clear()
        stood = session.standing.frames
        assert session.clock is not None
        assert session.clock.index == stood - 1
        assert len(found) == 2 * stood - 1
        found += [one for frame in shown[stood:] for one in session.push(frame)]
    assert all(np.array_equal(one.image, other.image) for one, other in zip(found, wanted, strict=True))


@pytest.mark.parametrize("lookahead", [False, True])
@pytest.mark.parametrize("lanes", [1, 3])
@pytest.mark.parametrize("error", [FrameError, VideoError])
def test_a_video_that_breaks_off_is_shown_up_to_there(
    engine: Engine, picture: Pictures, lanes: int, lookahead: bool, error: type[FramestateError]
) -> None:
    shown = frames([picture(3 * step) for step in range(4)])

    def coming() -> Iterator[Frame]:
        yield from shown[:3]
        if error is VideoError:
            raise VideoError("the file is cut off", "get a whole one")
        yield Frame(np.ascontiguousarray(shown[3].image[:-1]), 120, TICK, 3)

    found: list[Frame] = []
    with engine.open(factor=2, lookahead=lookahead) as session, pytest.raises(error):
        found.extend(session.ahead(coming(), lanes))
    assert [frame.index for frame in found] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("lanes", [1, 2, 4])
def test_pieces_are_made_no_further_ahead_than_bounded(
    engine: Engine, counting: Counting, picture: Pictures, lanes: int
) -> None:
    """However slow the caller is, only a few frames a lane are taken, and pieces made, ahead."""
    taken = 0

    def coming() -> Iterator[Frame]:
        nonlocal taken
        for frame in frames([picture(2 * step) for step in range(24)]):
            taken += 1
            yield frame

    with engine.open(factor=4) as session:
        for number, _ in enumerate(session.ahead(coming(), lanes)):
            if number % 7 == 0:
                time.sleep(0.01)  # the lanes could run on meanwhile
            assert taken <= number // 4 + 2 + 2 * lanes
            assert counting.calls.count("interpolate") <= number + 2 + 2 * lanes + lanes


def test_leaving_early_ends_the_threads_and_leaves_the_session_usable(
    engine: Engine, picture: Pictures
) -> None:
    before = threading.active_count()
    shown = frames([picture(3 * step) for step in range(12)])
    with engine.open(factor=4) as session:
        coming = session.ahead(shown, 3)
        assert [next(coming).index for _ in range(6)] == list(range(6))
        coming.close()  # type: ignore[attr-defined]
        assert threading.active_count() == before
        stood = session.standing.frames
        assert len(session.push(shown[stood])) == 4


def test_a_session_closed_meanwhile_ends_the_run(engine: Engine, picture: Pictures) -> None:
    session = engine.open(factor=4)
    coming = session.ahead(frames([picture(3 * step) for step in range(12)]), 2)
    next(coming)
    session.close()
    with pytest.raises(SessionError, match="closed"):
        list(coming)
    engine.slots.check()
    assert engine.slots.num_used == 0
