"""Sessions of event loops: they wait for room, survive cancellation, and are told of dropped frames."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
from framestate.engine import Engine, Track
from framestate.errors import FrameDroppedError, SessionError

BOX = (12.0, 10.0, 16.0, 12.0)
Make = Callable[..., Any]


def test_async_sessions_wait_for_room_and_survive_cancellation(runtime: Any, frame: Make) -> None:
    async def go() -> None:
        engine = Engine(runtime, capacity=2)
        async with await engine.opened(frame(0, 0), box=BOX, queue=1) as session:
            runtime.gate, steps = threading.Event(), engine.service.num_steps
            tasks = [asyncio.ensure_future(session.submit(frame(0, index))) for index in range(1, 7)]
            await asyncio.sleep(0.05)
            assert len(session.overflow) == 4
            tasks[1].cancel()  # queued: the next in line takes its place
            tasks[4].cancel()  # in line
            await asyncio.sleep(0)
            assert len(session.overflow) == 2
            tasks[0].cancel()  # in a step: it is run to its end
            runtime.gate.set()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            ends = [result.frame_index if isinstance(result, Track) else "cancelled" for result in results]
            assert ends == ["cancelled", "cancelled", 3, 4, "cancelled", 6]
            assert engine.service.num_steps == steps + 4, "those that were taken back never flew"
        with pytest.raises(SessionError):
            await session.submit(frame(0, 9))
        runtime.gate = threading.Event()
        opening = asyncio.ensure_future(engine.opened(frame(0, 0), box=BOX))
        await asyncio.sleep(0.05)
        opening.cancel()
        await asyncio.gather(opening, return_exceptions=True)
        runtime.gate.set()
        await asyncio.wrap_future(engine.service.call(lambda: None))
        await asyncio.wrap_future(engine.service.call(lambda: None))
        assert not engine.sessions()
        assert engine.slots.num_used == 0
        engine.close()

    asyncio.run(go())


def test_dropped_frames_raise_in_async_callers(runtime: Any, frame: Make) -> None:
    async def go() -> None:
        with Engine(runtime, capacity=1) as engine:
            session = await engine.opened(frame(0, 0), box=BOX, policy="DROP_OLDEST", queue=1)
            runtime.gate = threading.Event()
            tasks = []
            for index in range(1, 5):
                tasks.append(asyncio.ensure_future(session.submit(frame(0, index))))
                await asyncio.sleep(0.02)
            runtime.gate.set()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            assert [type(result) for result in results] == [
                Track,
                FrameDroppedError,
                FrameDroppedError,
                Track,
            ]

    asyncio.run(go())
