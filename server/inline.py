"""`InlineThreads`: a thread each for the engines that are used inline, and have none of their own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from ..engine.futures import Opened, claimed

T = TypeVar("T")


class InlineThreads:
    """Runs functions on the one thread that uses an engine, in order.

    Args:
        names: of the models.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._pools = {name: ThreadPoolExecutor(1, f"framestate-inline-{name}") for name in names}

    @property
    def names(self) -> frozenset[str]:
        """The models that have a thread here."""
        return frozenset(self._pools)

    def post(self, model: str, function: Callable[[], T]) -> Future[T]:
        """Runs a function on a model's thread."""
        return self._pools[model].submit(function)

    async def run(self, model: str, function: Callable[[], T]) -> T:
        """As ``post``, and waits. One who is cancelled meanwhile leaves it to end by itself."""
        return await asyncio.shield(asyncio.wrap_future(self.post(model, function)))

    async def claim(self, model: str, function: Callable[[], Opened]) -> Opened:
        """As ``run`` for what has to be closed: it is, when the one who waits is cancelled."""
        return await claimed(self.post(model, function))

    def close(self) -> None:
        """Ends the threads, after what they are at."""
        for pool in self._pools.values():
            pool.shutdown(cancel_futures=True)
