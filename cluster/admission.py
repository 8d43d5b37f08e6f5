"""`Admission`: where a new session goes, and when none may be opened: slots of all servers together"""

from __future__ import annotations

import uuid
from collections.abc import Callable

from ..errors import CapacityError, UnavailableError
from .view import Load, Loads, View

TRIES = 16
"""Ids that are drawn for a session; the one whose owner has the most room is taken."""
RESERVE = 0.1
"""Share of the slots that new sessions leave free, so that sessions which move find room."""


class Admission:
    """Draws the ids of sessions that have none, so that the ring itself puts them where there is room.

    Between two looks at the loads it counts what it has let in itself.

    Args:
        reserve: share of all slots that stays free for sessions that move.
        draw: a new id.
    """

    def __init__(
        self, *, reserve: float = RESERVE, draw: Callable[[], str] = lambda: uuid.uuid4().hex
    ) -> None:
        self._reserve = reserve
        self._draw = draw
        self._loads: Loads = {}
        self._since: dict[str, int] = {}

    def learn(self, loads: Loads) -> None:
        """How full the servers are."""
        self._loads = loads
        self._since = {}

    def check(self, view: View) -> None:
        """Raises CapacityError when all servers together have no room, UnavailableError without servers."""
        if not view.names:
            raise UnavailableError("there is no server in the cluster yet", "try again in a moment")
        used, total = 0, 0
        for name in view.names:
            load = self._load(name)
            used, total = used + load.used, total + load.total
        if total and used >= total - int(self._reserve * total):
            raise CapacityError(
                f"{used} of {total} slots of {len(view.names)} servers are in use", "try again later"
            )

    def place(self, view: View) -> str:
        """An id for a new session, at a server with room. Raises as ``check``."""
        self.check(view)
        best, least = "", float("inf")
        for _ in range(TRIES):
            key = self._draw()
            owner = view.ring.owner(key)
            load = self._load(owner or "")
            share = load.used / load.total if load.total else 0.0
            if share < least:
                best, least = key, share
        self.admitted(view.ring.owner(best) or "")
        return best

    def admitted(self, name: str) -> None:
        """A session was let in at this server."""
        self._since[name] = self._since.get(name, 0) + 1

    def _load(self, name: str) -> Load:
        known = self._loads.get(name, Load(0, 0))
        return Load(known.used + self._since.get(name, 0), known.total)
