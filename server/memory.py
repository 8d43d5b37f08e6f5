"""`Memory`: what large frames needed is given back to the machine when their sessions have ended."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import sys
from collections.abc import Iterable, Mapping

from ..engine import Engine
from ..errors import FramestateError
from .entry import Entry
from .logs import logger

LARGE = 1280 * 720
"""Pixels of a frame for which it is worth it."""


class Memory:
    """Looks which frames there are, now and then. Lives on the event loop."""

    def __init__(self, engines: Mapping[str, Engine]) -> None:
        self._engines = engines
        self._largest: dict[str, int] = {}  # pixels of the largest frames since memory was given back

    async def sweep(self, entries: Iterable[Entry]) -> None:
        """Gives back what is needed no more: the largest frames are gone, and half of them are not there."""
        now = dict.fromkeys(self._engines, 0)
        for entry in entries:
            clock = entry.session.clock
            if clock is not None:
                now[entry.model] = max(now[entry.model], clock.width * clock.height)
        for model, pixels in now.items():
            largest = max(self._largest.get(model, 0), pixels)
            self._largest[model] = largest
            if largest >= LARGE and 2 * pixels <= largest:
                self._largest[model] = pixels
                await self._give_back(model)

    async def _give_back(self, model: str) -> None:
        engine = self._engines[model]
        await asyncio.to_thread(gc.collect)  # frames in circles of references are part of it
        try:
            await asyncio.wrap_future(engine.service.call(engine.runtime.give_back))
        except FramestateError:  # it is being closed
            return
        except Exception:
            logger().exception("memory not given back", extra={"model": model})
        await asyncio.to_thread(trim)


def trim() -> None:
    """Has the C library give free pages back, where it does so when asked (glibc)."""
    if sys.platform == "linux":
        give = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if give is not None:
            give(0)
