"""Targets that are put right through the client: as by the engine, in their place, across servers."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from framestate import errors
from framestate.client import AsyncClient, Client
from framestate.client.results import Reply
from framestate.vision import Box, Frame
from framestate.wire import Track

from .conftest import load, lose_connection, same

Clip = tuple[list[Frame], Box]
WRONG, RIGHT = (20.0, 15.5, 30.25, 25.0), (60.1 + 0.2, 40 / 3, 28.0, 22.0)
"""Two boxes, which a person says the target is in; the second has no end in decimals."""


@pytest.fixture(scope="module")
def corrected(clip: Clip, tiny_bundle: Any) -> list[Track]:
    """As ``put_right`` has it, from an engine of this process."""
    frames, box = clip
    with load(tiny_bundle, 1) as engine, engine.open(frames[0], box=box) as target:
        return put_right(target, frames)


def put_right(target: Any, frames: list[Frame], among: Any = lambda number: None) -> list[Track]:
    """The tracks of a target that is corrected before frames 5 and 9; ``among`` is called at every frame."""
    found = []
    for number, frame in enumerate(frames[1:], 1):
        if number in (5, 9):
            found.append(target.correct(WRONG if number == 5 else RIGHT))
        among(number)
        found.append(target.push(frame))
    return found


def test_a_corrected_session_is_that_of_the_engine(
    server: Any, clip: Clip, truth: list[Track], corrected: list[Track]
) -> None:
    frames, box = clip
    assert not same(corrected[5:8], truth[4:7])
    with Client(server.url, encoding="rgb") as client:
        with client.track(frames[0], box) as target:
            assert same(put_right(target, frames), corrected)
        with client.track(frames[0], box) as target:

            def lose(number: int) -> None:
                if number in (5, 7, 9):
                    lose_connection(target)

            assert same(put_right(target, frames, lose), corrected)
            assert target.reconnects >= 2
    with Client(server.url, encoding="png") as client, client.track_by_request(frames[0], box) as asked:
        tracks = []
        for number, frame in enumerate(frames[1:], 1):
            if number in (5, 9):
                client.correct(asked.id, WRONG if number == 5 else RIGHT)
            tracks.append(asked.push(frame))
        assert same(tracks, [*corrected[:4], *corrected[5:9], *corrected[10:]])


def test_corrections_keep_their_place_among_frames(server: Any, clip: Clip, corrected: list[Track]) -> None:
    """Frames and corrections are sent without waiting for any answer."""
    frames, box = clip

    async def follow() -> list[Track]:
        client = AsyncClient(server.url, encoding="rgb")
        async with client, await client.track(frames[0], box) as target:
            waiting: list[Any] = []
            for number, frame in enumerate(frames[1:], 1):
                if number in (5, 9):
                    told = target.correct(WRONG if number == 5 else RIGHT, index=number - 1)
                    waiting.append(asyncio.ensure_future(told))
                    await asyncio.sleep(0)  # it has its place in line
                waiting.append(await target.send(frame))
            found = await asyncio.gather(*waiting)
            return [one.answer() if isinstance(one, Reply) else one for one in found]

    assert same(asyncio.run(follow()), corrected)


def test_corrections_outlive_their_server(
    serve: Any, clip: Clip, corrected: list[Track], tmp_path: Path
) -> None:
    frames, box = clip
    running = serve(state_dir=tmp_path, snapshot_s=60)
    with Client(running.url, encoding="rgb", reconnect_s=20) as client:
        target = client.track(frames[0], box)

        def again(number: int) -> None:
            if number == 9:
                running.stop()
                serve(state_dir=tmp_path, port=running.port)

        assert same(put_right(target, frames, again), corrected)
        target.close()


def test_what_cannot_be_corrected_is_told_and_the_stream_goes_on(
    server: Any, clip: Clip, truth: list[Track]
) -> None:
    frames, box = clip
    with Client(server.url, encoding="rgb") as client:
        with client.track(frames[0], box) as target:
            found = [target.push(frame) for frame in frames[1:4]]
            for wrong, kind in (((900, 1, 5, 5), errors.BoxError), ((1, 1, 0, 5), errors.WireError)):
                with pytest.raises(kind):
                    target.correct(wrong)
            with pytest.raises(errors.FrameError, match="the box is in frame 1, and the last one is 3"):
                target.correct(box, index=1)
            found += [target.push(frame) for frame in frames[4:]]
            assert same(found, truth)
        with client.interpolate(2) as maker:
            maker.push(frames[0])
            with pytest.raises(errors.OptionError, match="cannot be corrected"):
                maker.correct(box)
            assert len(maker.push(frames[1])) == 2
