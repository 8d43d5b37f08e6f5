"""The cluster on a real Ray Serve: two servers answer as one, through 2 → 3 → 1 and through kill -9."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from framestate.client import AsyncClient, AsyncStream
from framestate.vision import Box

Film = tuple[list[bytes], Box]
STREAMS = 16
EVERY_S = 0.5

pytestmark = [
    pytest.mark.alone,
    pytest.mark.slow,
    pytest.mark.filterwarnings("default"),  # Ray's own
]


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


class OnRay:
    """One cluster of the tests."""

    def __init__(self, state: Path) -> None:
        from framestate.cluster.ray_options import ClusterOptions

        server = {"max_sessions": 32, "runtime": "onnx", "device": "cpu", "snapshot_s": EVERY_S}
        self.options = ClusterOptions(port=free_port(), state_dir=str(state), cpus=0.5, server=server)
        self.url = f"http://127.0.0.1:{self.options.port}"

    def scale(self, count: int) -> None:
        from framestate.cluster.ray_app import run
        from framestate.cluster.ray_options import Scale

        run(self.options, Scale(count))

    def pids(self) -> dict[str, int]:
        """Processes of the servers, by the name of the member."""
        import ray
        from ray import serve

        client: Any = serve.context._get_global_client()
        details = ray.get(client._controller.get_serve_instance_details.remote())
        replicas = details["applications"][self.options.name]["deployments"]["Sessions"]["replicas"]
        return {one["replica_id"]: one["pid"] for one in replicas if one["state"] == "RUNNING"}


@pytest.fixture(scope="module")
def on_ray(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OnRay]:
    pytest.importorskip("ray")
    from framestate.cluster.ray_app import end
    from framestate.cluster.ray_local import started_ray

    with started_ray(4, 0.5):
        made = OnRay(tmp_path_factory.mktemp("state"))
        made.scale(2)
        yield made
        end(made.options)


async def step(targets: list[AsyncStream], jpeg: bytes) -> list[tuple[float, ...]]:
    return [one.box.xywh for one in await asyncio.gather(*(target.push(jpeg) for target in targets))]


async def opened(client: AsyncClient, film: Film) -> list[AsyncStream]:
    return [await client.track(film[0][0], film[1], policy="WAIT") for _ in range(STREAMS)]


def test_scaling_two_three_one_changes_no_answer(
    on_ray: OnRay, film: Film, truth: list[tuple[float, ...]]
) -> None:
    async def run() -> None:
        async with AsyncClient(on_ray.url) as client:
            targets = await opened(client, film)
            first = set(on_ray.pids())
            change: asyncio.Task[None] | None = None
            for index, jpeg in enumerate(film[0][1:], start=1):
                if index in (6, 14):
                    change = asyncio.create_task(asyncio.to_thread(on_ray.scale, 3 if index == 6 else 1))
                assert await step(targets, jpeg) == [truth[index - 1]] * STREAMS
                if index in (12, len(film[0]) - 2) and change is not None:
                    await change
                    if index == 12:
                        assert first < set(on_ray.pids())  # nobody was replaced
            assert len(on_ray.pids()) == 1
            assert [target.frames_lost for target in targets] == [0] * STREAMS
            assert sum(target.reconnects for target in targets) >= STREAMS // 4
            for target in targets:
                await target.close()

    asyncio.run(run())


def test_a_killed_server_costs_a_moment(on_ray: OnRay, film: Film, truth: list[tuple[float, ...]]) -> None:
    on_ray.scale(2)

    async def run() -> None:
        async with AsyncClient(on_ray.url) as client:
            targets = await opened(client, film)
            for index in range(1, 6):
                assert await step(targets, film[0][index]) == [truth[index - 1]] * STREAMS
            await asyncio.sleep(4 * EVERY_S)
            victim = on_ray.pids().popitem()[1]
            os.kill(victim, signal.SIGKILL)
            began = time.monotonic()
            assert await step(targets, film[0][6]) == [truth[5]] * STREAMS
            assert time.monotonic() - began < 10.0
            hit = [target for target in targets if target.reconnects]
            assert 0 < len(hit) < STREAMS
            assert [target.frames_lost for target in targets] == [0] * STREAMS
            for index in range(7, 12):
                assert await step(targets, film[0][index]) == [truth[index - 1]] * STREAMS
            for target in targets:
                await target.close()

    asyncio.run(run())
