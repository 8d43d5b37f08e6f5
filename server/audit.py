"""A line in the log for everything that was not let in, and its number in the metrics"""

from __future__ import annotations

from typing import Any

from starlette.types import Scope

from ..errors import FramestateError
from .flow import Rate
from .logs import logger
from .metrics import Metrics

LINES_PER_SECOND = 20.0
"""More than that are counted and told of in the next line, so that nobody can fill the disk."""


class Audit:
    """What the gate refuses. Keys never appear, good ones or wrong ones."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._lines = Rate(LINES_PER_SECOND)

    def refused(self, scope: Scope, error: FramestateError) -> None:
        """A request or a stream was refused."""
        self._metrics.refused(scope["type"], type(error).__name__)
        unlogged = self._lines.refused
        if self._lines.allows():
            extra = {"code": type(error).__name__, "reason": error.problem}
            more = {"unlogged": unlogged} if unlogged else {}
            logger().warning("refused", extra=told(scope) | extra | more)

    def locked_out(self, scope: Scope) -> None:
        """An address has sent too many wrong keys."""
        logger().error("locked out", extra=told(scope))


def told(scope: Scope) -> dict[str, Any]:
    """Who asked for what."""
    return {
        "address": (scope.get("client") or ("",))[0],
        "method": scope.get("method", "WEBSOCKET"),
        "path": scope["path"],
    }
