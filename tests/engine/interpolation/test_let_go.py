"""What a frame came with is let go as its answer is out, not when Python's collector next comes: till then a
large video would fill the memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from framestate.engine import Engine, Session
from framestate.errors import StepError
from framestate.vision import Frame, Image

from ...collected import ours, without_collector
from .conftest import Counting, frames

Pictures = Callable[..., Image]
Way = Callable[[Session[Any], list[Frame]], Any]


async def submitted(session: Session[Any], shown: list[Frame]) -> None:
    for frame in shown:
        await session.submit(frame)


WAYS: dict[str, Way] = {
    "push": lambda session, shown: [session.push(frame) for frame in shown],
    "stream": lambda session, shown: [list(session.stream(frame)) for frame in shown],
    "ahead": lambda session, shown: list(session.ahead(shown)),
    "two ahead": lambda session, shown: list(session.ahead(shown, 2)),
    "a future": lambda session, shown: [session.submit_nowait(frame).result(20) for frame in shown],
    "awaited": lambda session, shown: asyncio.run(submitted(session, shown)),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("lookahead", [False, True])
def test_nothing_of_a_frame_waits_for_the_collector(
    engine: Engine, picture: Pictures, way: str, lookahead: bool
) -> None:
    shown = frames([picture(3 * step) for step in range(8)])
    with without_collector() as found, engine.open(factor=2, lookahead=lookahead) as session:
        WAYS[way](session, shown)
    assert ours(found) == []


@pytest.mark.parametrize("way", WAYS)
def test_nor_does_one_that_fails(engine: Engine, counting: Counting, picture: Pictures, way: str) -> None:
    """The traceback of its error leads to all who had it in hand."""
    first, *shown = frames([picture(3 * step) for step in range(6)])
    with without_collector() as found, engine.open(factor=2, cuts=False) as session:
        session.push(first)
        counting.fail = set(counting.spec.functions)
        for frame in shown:
            with pytest.raises(StepError, match="the device was lost"):
                WAYS[way](session, [frame])
    assert not {"Clock", "Frame", "Job"} & set(ours(found))  # asyncio.run holds the error itself


def test_nor_where_nobody_takes_what_was_made(engine: Engine, picture: Pictures) -> None:
    shown = frames([picture(3 * step) for step in range(8)])
    with without_collector() as found, engine.open(factor=2) as session:
        pieces = iter(session.ahead(shown, 2))
        next(pieces)
        del pieces
    assert ours(found) == []
