"""What SIGHUP does: files that the server was started with are read again, each by itself"""

from __future__ import annotations

from collections.abc import Callable

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
