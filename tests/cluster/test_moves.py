"""Sessions move between real servers while frames come, and every answer is the one of a single server."""

from __future__ import annotations

import asyncio

import pytest
from framestate.client import AsyncClient
from framestate.vision import Box

from .conftest import Make, follow

Film = tuple[list[bytes], Box]


def test_two_servers_answer_as_one(cluster: Make, film: Film, truth: list[tuple[float, ...]]) -> None:
    servers = cluster("a", "b")

    async def run() -> None:
        async with AsyncClient(servers.url) as client:
            done = await asyncio.gather(*(follow(client, film) for _ in range(6)))
        assert all(boxes == truth for boxes, _ in done)
        assert all(target.reconnects == 0 for _, target in done)

    asyncio.run(run())
    used = [
        one.hub.metrics.registry.get_sample_value(
            "framestate_sessions_opened_total", {"model": "tracker-nano"}
        )
        for one in servers.replicas.values()
    ]
    assert sum(count or 0 for count in used) == 6
    assert all(used)


def test_scaling_up_and_down_loses_no_frame(
    cluster: Make, film: Film, truth: list[tuple[float, ...]]
) -> None:
    servers = cluster("a", "b")
    steps = {4: asyncio.Event(), 10: asyncio.Event(), 16: asyncio.Event()}
    arrived = dict.fromkeys(steps, 0)
    count = 6

    async def pace(index: int) -> None:
        if index in steps:
            arrived[index] += 1
            if arrived[index] == count:
                await change(index)
                steps[index].set()
            if index == 16:  # the others go on while the servers change
                await steps[index].wait()

    async def change(index: int) -> None:
        if index == 4:
            await asyncio.to_thread(servers.add, "c")
        if index == 10:
            assert await asyncio.to_thread(servers.leave, "a") == 0
        if index == 16:
            assert await asyncio.to_thread(servers.leave, "b") == 0

    async def run() -> None:
        async with AsyncClient(servers.url) as client:
            done = await asyncio.gather(*(follow(client, film, pace=pace) for _ in range(count)))
        for boxes, target in done:
            assert boxes == truth
            assert target.frames_lost == 0
        assert sum(target.reconnects for _, target in done) >= 1

    asyncio.run(run())
    assert list(servers.replicas) == ["c"]


def test_a_request_a_frame_follows_its_session(
    cluster: Make, film: Film, truth: list[tuple[float, ...]]
) -> None:
    servers = cluster("a")
    jpegs, box = film

    async def run() -> None:
        async with AsyncClient(servers.url) as client:
            targets = [
                await client.track_by_request(jpegs[0], box, session_id=f"s{number}") for number in range(4)
            ]
            for index, jpeg in enumerate(jpegs[1:], start=1):
                if index == 5:
                    await asyncio.to_thread(servers.add, "b")
                if index == 15:
                    assert await asyncio.to_thread(servers.leave, "a") == 0
                tracks = await asyncio.gather(*(target.push(jpeg) for target in targets))
                for track in tracks:  # the box went as text, of twelve decimals
                    assert track.box.xywh == pytest.approx(truth[index - 1], abs=1e-9)
                assert all(len(servers.at(target.id)) == 1 for target in targets)
            listed = await client.sessions()
            assert {one.session for one in listed} == {"s0", "s1", "s2", "s3"}
            for target in targets:
                await target.close()
            assert await client.sessions() == []

    asyncio.run(run())
