"""Every task over WebSocket: as the engine inline, beside others, after lost connections and ``kill -9``."""

from __future__ import annotations

import asyncio
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from framestate import errors
from framestate.client import AsyncClient, AsyncStream, Client
from framestate.vision import Box, Frame
from framestate.wire import Made

from .conftest import Case, frames_of, same

Film = tuple[list[bytes], Box]


def url(running: Any) -> str:
    return f"http://127.0.0.1:{running.port}"


def opened(client: Client, case: Case, frames: list[Frame], **more: Any) -> Any:
    first = frames[0] if case.opens_on_frame else None
    return client.open(case.model, first, **case.options, **more)


def test_a_stream_is_answered_as_the_engine_does(
    all_tasks: Any, case: Case, film: Film, truth: list[Any]
) -> None:
    frames = frames_of(film[0])
    with Client(url(all_tasks), encoding="rgb") as client, opened(client, case, frames) as session:
        assert (session.welcome.task, session.welcome.opens_on_frame) == (case.task, case.opens_on_frame)
        found = list(session.stream(frames[case.first :], window=6))
        assert all(same(one, other) for one, other in zip(found, truth, strict=True))
        with pytest.raises(errors.FrameError):
            session.push(frames[3])
        held = session.flush()
        assert (held is None) == (case.task != "interpolation")


def test_all_tasks_side_by_side_are_as_alone(
    all_tasks: Any, cases: dict[str, Case], truths: dict[str, list[Any]], film: Film
) -> None:
    """Two sessions of each task at once: batched and beside one another, each as if it were alone."""
    frames = frames_of(film[0])

    async def follow(client: AsyncClient, case: Case) -> bool:
        first = frames[0] if case.opens_on_frame else None
        async with await client.open(case.model, first, **case.options) as session:
            found = [answer async for answer in session.stream(frames[case.first :])]
        return all(same(one, other) for one, other in zip(found, truths[case.task], strict=True))

    async def main() -> list[bool]:
        async with AsyncClient(url(all_tasks), encoding="rgb") as client:
            return await asyncio.gather(*(follow(client, case) for case in [*cases.values()] * 2))

    assert asyncio.run(main()) == [True] * 8


def test_a_lost_connection_costs_nothing(all_tasks: Any, case: Case, film: Film, truth: list[Any]) -> None:
    """Cut with frames under way, again and again: each is answered once, and as if nothing had happened."""
    frames = frames_of(film[0])

    async def cut(session: AsyncStream) -> None:
        await asyncio.sleep(0.004)
        link: Any = session._link
        link._socket.transport.abort()

    async def main() -> tuple[list[Any], int, int]:
        async with AsyncClient(url(all_tasks), encoding="rgb") as client:
            first = frames[0] if case.opens_on_frame else None
            async with await client.open(case.model, first, **case.options) as session:
                futures = []
                for place, frame in enumerate(frames[case.first :]):
                    futures.append(await session.send(frame))
                    if place % 4 == 1:
                        await cut(session)
                replies = await asyncio.gather(*futures)
                return [reply.answer() for reply in replies], session.reconnects, session.frames_lost

    found, reconnects, lost = asyncio.run(main())
    assert reconnects >= 2
    assert lost == 0
    assert all(same(one, other) for one, other in zip(found, truth, strict=True))


def test_a_killed_server_is_gone_on_with_bit_for_bit(
    process: Any, case: Case, film: Film, truth: list[Any], tmp_path: Path, until: Any
) -> None:
    """``kill -9``: from the last snapshot on frames are sent again, and answers and times are the same."""
    frames = frames_of(film[0])
    arguments = ("--model", case.bundle, "--state-dir", str(tmp_path), "--max-sessions", "2")
    first = process(*arguments, snapshot_s="0.2")
    with (
        Client(url(first), encoding="rgb", reconnect_s=60) as client,
        opened(client, case, frames, session_id="mine") as session,
    ):
        found = [session.push(frame) for frame in frames[case.first : 6]]
        until(lambda: list(tmp_path.rglob("mine.session")))
        time.sleep(0.6)  # a round of snapshots, or two
        found += [session.push(frame) for frame in frames[6:9]]  # perhaps in no snapshot
        assert first.end(signal.SIGKILL) == -signal.SIGKILL
        process(*arguments, "--port", str(first.port))
        found += [session.push(frame) for frame in frames[9:]]
        assert (session.reconnects, session.frames_lost) == (1, 0)
        assert client.session("mine").restored
    assert all(same(one, other) for one, other in zip(found, truth, strict=True))
    if case.task == "interpolation":
        shown = [picture for made in found for picture in made]
        assert isinstance(found[0], Made)
        assert [picture.index for picture in shown] == list(range(len(shown)))
