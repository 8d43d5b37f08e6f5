"""Frames made side by side are the frames made one by one, in their order; failures end the run at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import numpy as np
import pytest
from framestate.engine import Engine
from framestate.engine.interpolation.side_by_side import Later, in_order
from framestate.errors import StepError
from framestate.vision import Image

from .conftest import Counting, frames

Pictures = Callable[..., Image]


@pytest.mark.parametrize("lanes", [1, 2, 5])
def test_lanes_change_no_frame(engine: Engine, counting: Counting, picture: Pictures, lanes: int) -> None:
    images = [picture(3 * step) for step in range(5)] + [picture(0, scene=1), picture(2, scene=1)]
    images.insert(3, images[2])  # a duplicate
    with engine.open(factor=3) as session:
        wanted = [one for frame in frames(images) for one in session.push(frame)] + session.flush()
        counts = session.counts
    counting.calls.clear()
    with engine.open(factor=3) as session:
        found = list(session.ahead(frames(images), lanes))
        assert session.counts == counts
    assert [(one.pts, one.index) for one in found] == [(one.pts, one.index) for one in wanted]
    assert all(np.array_equal(one.image, other.image) for one, other in zip(found, wanted, strict=True))
    assert counting.calls.count("encode") <= len(images)
    assert counting.calls.count("motion") == counts.made / 2


@pytest.mark.parametrize("lanes", [1, 3])
def test_a_failure_comes_where_its_frame_would_have(
    engine: Engine, counting: Counting, picture: Pictures, lanes: int
) -> None:
    with engine.open() as session:
        coming = session.ahead(frames([picture(step) for step in range(6)]), lanes)
        assert next(coming).index == 0
        counting.fail.add("interpolate")
        with pytest.raises(StepError, match="device was lost"):
            list(coming)


def test_results_keep_the_order_of_their_tasks() -> None:
    def task(number: int) -> Callable[[], int]:
        def run() -> int:
            time.sleep(0.01 * (number % 3))
            return number

        return run

    assert list(in_order((task(number) for number in range(12)), 4)) == list(range(12))


@pytest.mark.parametrize("lanes", [1, 2, 4])
def test_tasks_are_taken_no_further_ahead_than_twice_the_lanes(lanes: int) -> None:
    taken = 0

    def tasks() -> object:
        nonlocal taken
        for number in range(40):
            taken += 1
            yield lambda number=number: number

    for number, _ in enumerate(in_order(tasks(), lanes)):  # type: ignore[arg-type]
        assert taken <= number + 2 * lanes


def test_leaving_early_ends_the_threads() -> None:
    before = threading.active_count()
    coming = in_order([lambda: 1] * 10, 3)
    assert next(coming) == 1
    coming.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before


def test_a_value_is_computed_once_and_a_failure_is_tried_again() -> None:
    calls: list[int] = []

    def make() -> str:
        calls.append(len(calls))
        if len(calls) == 1:
            raise StepError("not yet", "ask again")
        time.sleep(0.02)
        return "made"

    value = Later(make)
    with pytest.raises(StepError):
        value.get()
    threads = [threading.Thread(target=value.get) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert value.get() == "made"
    assert len(calls) == 2
