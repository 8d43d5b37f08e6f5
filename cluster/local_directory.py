"""`DirectoryThread`: a directory within this process, for servers on any thread of it"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self, TypeVar

from .directory import Directory
from .view import Load, Loads, MemberInfo, View

T = TypeVar("T")


class DirectoryThread:
    """Runs a directory on an event loop of its own. Use as a context manager."""

    def __init__(self, directory: Directory | None = None) -> None:
        self.directory = directory or Directory()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="directory", daemon=True)

    async def beat(self, member: MemberInfo, load: Load, known: View) -> View:
        """See ``Directory``."""
        return await self._run(self.directory.beat(member, load, known))

    async def look(self) -> tuple[View, Loads]:
        """See ``Directory``."""
        return await self._run(self.directory.look())

    async def gone(self, name: str) -> View:
        """See ``Directory``."""
        return await self._run(self.directory.gone(name))

    async def suspect(self, name: str) -> View:
        """See ``Directory``."""
        return await self._run(self.directory.suspect(name))

    async def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(work, self._loop))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
