"""``kill -9`` of a server: its sessions go on elsewhere from their last snapshot, the others see nothing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import pytest
from framestate.client import AsyncClient, AsyncStream
from framestate.vision import Box

from .processes import NAMES, Processes, keys_of, saved, started

Film = tuple[list[bytes], Box]


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Processes]:
    with started(tmp_path_factory.mktemp("state"), {"tracker-nano": "tracker-nano"}) as made:
        yield made


async def step(targets: dict[str, AsyncStream], jpeg: bytes) -> list[tuple[float, ...]]:
    tracks = await asyncio.gather(*(target.push(jpeg) for target in targets.values()))
    return [track.box.xywh for track in tracks]


@pytest.mark.alone
def test_sessions_of_a_killed_server_go_on(
    processes: Processes, film: Film, truth: list[tuple[float, ...]]
) -> None:
    jpegs, box = film
    mine, others = keys_of("c", NAMES, 2), [*keys_of("a", NAMES, 1), *keys_of("b", NAMES, 1)]

    async def run() -> None:
        async with AsyncClient(processes.url) as client:
            targets = {
                key: await client.track(jpegs[0], box, session_id=key, policy="WAIT") for key in mine + others
            }
            for index in range(1, 6):
                assert await step(targets, jpegs[index]) == [truth[index - 1]] * 4
            await saved(processes, mine)
            processes.kill("c")
            began = time.monotonic()
            assert await step(targets, jpegs[6]) == [truth[5]] * 4
            assert time.monotonic() - began < 3.0
            for index in range(7, len(jpegs)):
                assert await step(targets, jpegs[index]) == [truth[index - 1]] * 4
            assert all(targets[key].reconnects > 0 for key in mine)
            assert [targets[key].reconnects for key in others] == [0, 0]
            assert [target.frames_lost for target in targets.values()] == [0] * 4
            for target in targets.values():
                await target.close()

    asyncio.run(run())


def test_frames_after_the_last_snapshot_are_told_as_lost(processes: Processes, film: Film) -> None:
    jpegs, box = film
    (key,) = keys_of("b", ("a", "b"), 1)

    async def run() -> None:
        async with AsyncClient(processes.url) as client:
            target = await client.track(jpegs[0], box, session_id=f"{key}", policy="DROP_OLDEST")
            for index in range(1, 4):
                await target.push(jpegs[index])
            await saved(processes, [key])
            for index in range(4, 9):
                await target.push(jpegs[index])
            processes.kill("b")
            assert (await target.push(jpegs[9])).frame_index == 9
            assert target.frames_lost == 5
            await target.close()

    asyncio.run(run())
