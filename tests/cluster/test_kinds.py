"""Sessions of every task move between servers, and go on from the vault of one that is gone, bit for bit."""

from __future__ import annotations

import asyncio
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from framestate.bundles import Bundle
from framestate.client import AsyncClient
from framestate.engine import Classification, Engine, Made, Output, Track
from framestate.vision import Box, Frame
from framestate.vision.synthetic import demo_clip

from .conftest import Make
from .processes import NAMES, Processes, keys_of, saved, started

FRAMES = 8


@pytest.fixture(scope="module")
def clip() -> tuple[list[Frame], Box]:
    pairs = list(demo_clip(3, FRAMES, (96, 64)))
    frames = [Frame(image, index, Fraction(1, 25), index) for index, (image, _, _) in enumerate(pairs)]
    return frames, pairs[0][1]


@pytest.fixture
def bundles(
    tiny_bundle: Bundle, tiny_interpolator: Bundle, tiny_classifier: Bundle, tiny_stream: Bundle
) -> dict[str, Bundle]:
    return {
        "tracking": tiny_bundle,
        "interpolation": tiny_interpolator,
        "classification": tiny_classifier,
        "stream": tiny_stream,
    }


TASKS = ("tracking", "interpolation", "classification", "stream")


def opening(task: str, box: Box) -> dict[str, Any]:
    """What a session is opened with."""
    given: dict[str, dict[str, Any]] = {"tracking": {"box": box.xywh}, "interpolation": {"factor": "5/2"}}
    return given.get(task, {})


def plain(answer: Any) -> Any:
    """What has to be equal, bit for bit."""
    if isinstance(answer, Track):
        return answer.box.xywh, answer.score, answer.status, answer.frame_index
    if isinstance(answer, Classification):
        return answer.smoothed.tobytes(), answer.frame_index
    if isinstance(answer, Made):
        return [(one.pts, one.time_base, one.index, one.image.tobytes()) for one in answer]
    assert isinstance(answer, Output)
    given = {name: np.asarray(value).tobytes() for name, value in answer.tensors.items()}
    shown = {name: image.tobytes() for name, image in answer.pictures.items()}
    return {name: value for name, value in given.items() if name not in shown}, shown, answer.frame_index


def alone(bundle: Bundle, task: str, clip: tuple[list[Frame], Box]) -> list[Any]:
    """The answers of one engine, inline."""
    frames, box = clip
    with Engine.load(bundle, runtime="onnx", device="cpu", threads=1, capacity=1) as engine:
        first = frames[0] if engine.task.opens_on_frame else None
        session = engine.open(first, **opening(task, box))
        return [plain(session.push(frame)) for frame in frames[engine.task.opens_on_frame :]]


@pytest.mark.parametrize("task", TASKS)
def test_a_session_moves_with_its_stream(
    cluster: Make, bundles: dict[str, Bundle], clip: tuple[list[Frame], Box], task: str
) -> None:
    frames, box = clip
    expected = alone(bundles[task], task, clip)
    servers = cluster("a", models={"model": bundles[task]})

    async def run() -> list[Any]:
        async with AsyncClient(servers.url, encoding="rgb") as client:
            opens_on_frame = task == "tracking"
            first = frames[0] if opens_on_frame else None
            stream = await client.open("model", first, session_id="s", policy="WAIT", **opening(task, box))
            found = []
            for place, frame in enumerate(frames[opens_on_frame:]):
                if place == 2:
                    await asyncio.to_thread(servers.add, "b")
                if place == 4:
                    assert await asyncio.to_thread(servers.leave, "a") == 0
                    assert servers.at("s") == ["b"]
                found.append(plain(await stream.push(frame)))
            assert stream.frames_lost == 0
            await stream.close()
            return found

    assert asyncio.run(run()) == expected


def test_sessions_of_a_killed_server_go_on(
    bundles: dict[str, Bundle], clip: tuple[list[Frame], Box], tmp_path: Path
) -> None:
    """One session of each task, ``kill -9`` of their server, and the answers of one engine all the same."""
    frames, box = clip
    expected = {task: alone(bundles[task], task, clip) for task in TASKS}

    async def run(processes: Processes) -> dict[str, list[Any]]:
        keys = dict(zip(TASKS, keys_of("c", NAMES, len(TASKS)), strict=True))
        found: dict[str, list[Any]] = {task: [] for task in TASKS}
        async with AsyncClient(processes.url, encoding="rgb") as client:
            streams = {
                task: await client.open(
                    task, frames[0] if task == "tracking" else None, session_id=key, policy="WAIT",
                    **opening(task, box),
                )
                for task, key in keys.items()
            }  # fmt: skip
            for place, frame in enumerate(frames):
                if place == 4:
                    await saved(processes, list(keys.values()))
                if place == 6:
                    processes.kill("c")
                for task, stream in streams.items():
                    if place or task != "tracking":
                        found[task].append(plain(await stream.push(frame)))
            assert all(stream.reconnects > 0 for stream in streams.values())
            for stream in streams.values():
                await stream.close()
        return found

    with started(tmp_path, {task: str(bundle.path) for task, bundle in bundles.items()}) as processes:
        assert asyncio.run(run(processes)) == expected
