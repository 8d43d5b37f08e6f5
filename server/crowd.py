"""`Crowd`: how many connections there may be, and who goes first when there are more."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, Protocol

from starlette.types import Scope

from .logs import logger

SPARE = 256
"""Files that the process may open beside its connections, those that are accepted at one go included."""
MOST_FILES = 65_536
REFUSED = 64
"""Connections above the most that are told to come back later; more are not even told."""
KNOWN = "framestate.known"


class Link(Protocol):
    """A connection, as the crowd sees it."""

    def shed(self) -> None:
        """Ends it at once."""


class Crowd:
    """The connections of a server. Lives on the event loop.

    Args:
        most: of them at once; fewer where the process may not open so many files.
    """

    def __init__(self, most: int) -> None:
        files = allowed_files(most + SPARE)
        self.most = most if files is None else max(1, min(most, files - SPARE))
        self._strangers: dict[
            Link, None
        ] = {}  # connections without a request that may pass, the oldest first
        self._is_full = False

    def enter(self, link: Link, count: int) -> bool:
        """A connection has come, and with it there are ``count``: whether there is room for it.

        The oldest of those from which no request came that may pass has to go for it.
        """
        if count > self.most and self._strangers:
            oldest = next(iter(self._strangers))
            self.leave(oldest)
            oldest.shed()
            count -= 1
        full = count >= self.most
        if full and not self._is_full:
            logger().warning("as many connections as there may be", extra={"connections": self.most})
        self._is_full = full or (self._is_full and count > 0.9 * self.most)
        if count > self.most:
            return False
        self._strangers[link] = None
        return True

    def leave(self, link: Link) -> None:
        """It has ended, or is no stranger any more."""
        self._strangers.pop(link, None)


def known(scope: Scope) -> None:
    """The request may pass: its connection is no stranger's any more."""
    leave_crowd(scope.get("state") or {})


def leave_crowd(state: Mapping[str, Any]) -> None:
    """The connection of this state is known, or has ended."""
    call = state.get(KNOWN)
    if call is not None:
        call()


def allowed_files(wanted: int) -> int | None:
    """How many files the process may open, after as many are asked for; None where there is no limit."""
    if sys.platform == "win32":
        return None
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    goal = min(max(wanted, soft), MOST_FILES)
    if hard != resource.RLIM_INFINITY:
        goal = min(goal, hard)
    if soft != resource.RLIM_INFINITY and goal > soft:
        resource.setrlimit(resource.RLIMIT_NOFILE, (goal, hard))
        soft = goal
    return None if soft == resource.RLIM_INFINITY else soft
