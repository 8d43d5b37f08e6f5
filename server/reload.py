"""What SIGHUP does: files that the server was started with are read again, each by itself"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from ..errors import FramestateError
from .logs import logger


class Reload:
    """What can be read again. A file that cannot be used is told of, and what it said before still holds."""

    def __init__(self) -> None:
        self._parts: dict[str, Callable[[], object]] = {}

    def add(self, name: str, read: Callable[[], object]) -> None:
        """``read`` is called on the event loop; where it raises FramestateError, it has changed nothing."""
        self._parts[name] = read

    def __call__(self) -> None:
        """Reads everything again."""
        for name, read in self._parts.items():
            try:
                read()
            except FramestateError as error:
                logger().error("not read again", extra={"what": name, "error": str(error)})
            else:
                logger().info("read again", extra={"what": name})

    async def watch(self, paths: Sequence[Path], every_s: float) -> None:
        """Reads everything again whenever one of these files has changed, for ever: where no signal comes."""
        before = await asyncio.to_thread(stamps, paths)
        while True:
            await asyncio.sleep(every_s)
            now = await asyncio.to_thread(stamps, paths)
            if now != before:
                self()
            before = now


def stamps(paths: Sequence[Path]) -> list[tuple[int, int, int]]:
    """What tells a file from what it was; of those that are away for the moment, nothing."""
    found = []
    for path in paths:
        with suppress(OSError):
            stat = path.stat()
            found.append((stat.st_ino, stat.st_size, stat.st_mtime_ns))
    return found
