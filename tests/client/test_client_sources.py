"""Targets of a live source by the client: added, put right, ended, detected."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from framestate import errors
from framestate.client import AsyncClient, Client
from framestate.vision import Box, Frame, VideoWriter

Clip = tuple[list[Frame], Box]


def until(condition: Callable[[], Any]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.03)


def test_targets_of_a_source(serve: Any, clip: Clip, tmp_path: Path) -> None:
    frames, box = clip
    with VideoWriter(tmp_path / "clip.mp4", 160, 120, 10) as film:
        for frame in frames:
            film.write(frame.image)
    running = serve(sources=(f"cam={tmp_path / 'clip.mp4'}",), max_targets=2)
    with Client(running.url) as client:
        source = client.source("cam")
        until(lambda: running.server.sources.get("cam").last)
        assert source.targets() == []
        first = source.add(box, "koi")
        assert (first.id, first.label, first.status) == (1, "koi", "tracking")
        assert first.box.xywh == pytest.approx(box.xywh)
        right = (60.1 + 0.2, 40 / 3, 28.0, 22.0)
        assert source.correct(1, right).box.xywh == pytest.approx(right)
        assert source.add((5, 5, 20, 20)).id == 2
        with pytest.raises(errors.CapacityError):
            source.add(box)
        with pytest.raises(errors.BoxError):
            source.correct(1, (900, 1, 5, 5))
        source.end(2)
        for use in (lambda: source.end(2), lambda: source.add(box, index=10**9), client.source("no").targets):
            with pytest.raises(errors.UnknownItemError):
                use()
        found = np.array([[5, 5, 20, 20]], np.float32)
        assert source.detected(found, scores=np.ones(1, np.float32), labels=["eel"]) >= 0
        until(lambda: [one.label for one in source.targets()] == ["koi", "eel"])
        with pytest.raises(errors.BoxError):
            source.detected(xyxy=[(9, 9, 5, 5)])
        with pytest.raises(errors.OptionError):
            source.detected([], scores=[0.5])

    async def told() -> list[int]:
        async with AsyncClient(running.url) as client:
            return [one.id for one in await client.source("cam").targets()]

    assert asyncio.run(told()) == [1, 3]
