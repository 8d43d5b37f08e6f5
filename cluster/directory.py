"""`Directory`: who is in the cluster; one that starts anew learns it from the members' beats"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from .view import REMEMBERED, Load, Loads, MemberInfo, View

BEAT_S = 0.5
"""Between two beats of a member."""
DEAD_S = 10.0
"""A member that is not heard of for so long is taken off, unless a refused connection shows it sooner."""
PROBE_S = 1.0


@dataclass
class Seen:
    """A member and when it was last heard of."""

    info: MemberInfo
    load: Load
    at: float


class Directory:
    """The one place where the view changes. Not thread-safe: it lives on one event loop.

    Nothing is written down: members send the view that they know with every beat, so that a directory that
    starts anew takes up the latest of these, and nobody's sessions move because of it.

    Args:
        dead_s: seconds of silence after which a member is taken off.
        probe: whether a member's address can be connected to; False only when it surely cannot.
        clock: seconds that only grow.
    """

    def __init__(
        self,
        *,
        dead_s: float = DEAD_S,
        probe: Callable[[str], Awaitable[bool]] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._dead_s = dead_s
        self._probe = probe or can_connect
        self._clock = clock
        self._seen: dict[str, Seen] = {}
        self._view = View()

    async def beat(self, member: MemberInfo, load: Load, known: View) -> View:
        """Takes a member in, or hears that it still lives."""
        if known.version > self._view.version:
            self._learn(known)
        before = self._seen.get(member.name)
        self._seen[member.name] = Seen(member, load, self._clock())
        if before is None or before.info != member:
            self._change()
        self._sweep()
        return self._view

    async def look(self) -> tuple[View, Loads]:
        """The view, and how full everybody is."""
        self._sweep()
        return self._view, {name: seen.load for name, seen in self._seen.items()}

    async def gone(self, name: str) -> View:
        """Takes a member off that has nothing left."""
        return self._remove(name)

    async def suspect(self, name: str) -> View:
        """Takes a member off if nobody listens at its address any more."""
        seen = self._seen.get(name)
        if seen is not None and not await self._probe(seen.info.address):
            return self._remove(name)
        return self._view

    def _learn(self, known: View) -> None:
        """What the one before knew; all of them are given the time to be heard of."""
        now = self._clock()
        for info in known.members:
            self._seen.setdefault(info.name, Seen(info, Load(0, 0), now))
        self._view = known

    def _remove(self, name: str) -> View:
        if self._seen.pop(name, None) is not None:
            self._change()
        return self._view

    def _sweep(self) -> None:
        late = self._clock() - self._dead_s
        silent = [name for name, seen in self._seen.items() if seen.at < late]
        for name in silent:
            del self._seen[name]
        if silent:
            self._change()

    def _change(self) -> None:
        members = tuple(self._seen[name].info for name in sorted(self._seen))
        now = replace(self._view, version=self._view.version + 1, members=members)
        if now.names != self._view.names:
            now = replace(now, past=(self._view.names, *self._view.past)[:REMEMBERED])
        self._view = now


async def can_connect(address: str) -> bool:
    """False when nobody listens there; True when somebody does, or when no answer came either way."""
    host, _, port = address.rpartition(":")
    try:
        async with asyncio.timeout(PROBE_S):
            _, writer = await asyncio.open_connection(host.strip("[]"), int(port))
    except ConnectionRefusedError:
        return False
    except (OSError, TimeoutError):
        return True  # it may be the network: silence decides
    writer.close()
    return True
