"""`Memory`: what large frames needed is given back to the machine when their sessions have ended."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import sys
from collections.abc import Mapping, Sequence

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
        self._largest = dict.fromkeys(engines, 0)  # pixels of the largest frames since memory was given back
        self._due: set[str] = set()

    def note(self, entry: Entry) -> None:
        """A session ends, which may have begun since the last look."""
        self._largest[entry.model] = max(self._largest[entry.model], pixels_of(entry))

    async def sweep(self, entries: Sequence[Entry]) -> None:
        """Gives back what is needed no more: the largest frames are gone, and half of them are not there.

        It does so a look later, when their last answers have been sent.
        """
        for model in self._engines:
            pixels = max((pixels_of(entry) for entry in entries if entry.model == model), default=0)
            largest = self._largest[model] = max(self._largest[model], pixels)
            if largest < LARGE or 2 * pixels > largest:
                self._due.discard(model)
            elif model not in self._due:
                self._due.add(model)
            else:
                self._due.discard(model)
                self._largest[model] = pixels
                await self._give_back(model)

    async def _give_back(self, model: str) -> None:
        engine = self._engines[model]
        await asyncio.to_thread(gc.collect)  # frames in circles of references are part of it
        try:
            await asyncio.wrap_future(engine.service.call(engine.give_back))
        except FramestateError:  # it is being closed
            return
        except Exception:
            logger().exception("memory not given back", extra={"model": model})
        await asyncio.to_thread(trim)


def pixels_of(entry: Entry) -> int:
    """Of a session's frames; 0 before the first."""
    clock = entry.session.clock
    return 0 if clock is None else clock.width * clock.height


def trim() -> None:
    """Has the C library give free pages back, where it does so when asked (glibc)."""
    if sys.platform == "linux":
        give = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if give is not None:
            give(0)
