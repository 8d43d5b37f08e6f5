"""Rows that closed sessions leave: the next one may have them at once."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest
from framestate.bundles import Bundle
from framestate.engine import Engine, Session
from framestate.errors import CapacityError

IMAGE = np.random.default_rng(0).integers(0, 255, (40, 48, 3), dtype=np.uint8)
BOX = (12.0, 10.0, 16.0, 12.0)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_row_is_free_as_soon_as_its_session_is_closed(tiny_bundle: Bundle, workers: int) -> None:
    async def run(engine: Engine) -> None:
        for _ in range(20):
            sessions = [await engine.opened(IMAGE, box=BOX) for _ in range(2)]
            flying = [session.submit_nowait(IMAGE) for session in sessions]
            with pytest.raises(CapacityError):
                await engine.opened(IMAGE, box=BOX)
            for session in sessions:
                session.close()
            await asyncio.gather(*map(asyncio.wrap_future, flying), return_exceptions=True)

    with Engine.load(tiny_bundle, runtime="onnx", workers=workers, capacity=2) as engine:
        asyncio.run(run(engine))
        engine.slots.check()


def test_a_callback_on_a_lane_may_close_and_open(tiny_bundle: Bundle) -> None:
    with Engine.load(tiny_bundle, runtime="onnx", workers=1, capacity=1) as engine:
        engine.service.start()
        first: Session[Any] = engine.open(IMAGE, box=BOX)
        opened: list[Session[Any]] = []

        def swap(_: object) -> None:
            first.close()
            opened.append(engine.open(IMAGE, box=BOX))

        future = first.submit_nowait(IMAGE)
        future.add_done_callback(swap)
        future.result(10)
        engine.service.call(lambda: None).result(10)
        assert opened[0].push(IMAGE).frame_index == 1
