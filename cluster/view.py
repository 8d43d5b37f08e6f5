"""`View`: the servers of a cluster as everybody in it sees them at one version"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from .ring import Ring

REMEMBERED = 8
"""Earlier sets of owners that a view carries: a session that has not moved yet is at the owner of one."""


@dataclass(frozen=True)
class MemberInfo:
    """One server.

    Attributes:
        name: unique, and never used again.
        address: host and port, such as ``10.0.0.7:41234``.
        leaving: it gives its sessions away and gets no new ones; it is not on the ring.
    """

    name: str
    address: str
    leaving: bool = False


@dataclass(frozen=True)
class View:
    """Who is there, and who was lately.

    Attributes:
        version: grows with every change; 0 knows nothing yet.
        members: all that can be reached, by name.
        past: the names that were on the ring before, the latest first.
    """

    version: int = 0
    members: tuple[MemberInfo, ...] = ()
    past: tuple[tuple[str, ...], ...] = ()

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Those on the ring."""
        return tuple(sorted(one.name for one in self.members if not one.leaving))

    @cached_property
    def ring(self) -> Ring:
        """The ring of those that are not leaving."""
        return Ring(self.names)

    @cached_property
    def past_rings(self) -> tuple[Ring, ...]:
        """The rings before, the latest first."""
        return tuple(Ring(names) for names in self.past)

    @cached_property
    def _by_name(self) -> dict[str, MemberInfo]:
        return {one.name: one for one in self.members}

    def find(self, name: str | None) -> MemberInfo | None:
        """A member by its name, if it is there."""
        return self._by_name.get(name) if name is not None else None

    def owner(self, key: str) -> MemberInfo | None:
        """The member that a session belongs to; None where nobody takes any."""
        return self.find(self.ring.owner(key))


@dataclass(frozen=True)
class Load:
    """How full a member is: slots of all its models together."""

    used: int
    total: int

    @property
    def free(self) -> int:
        """Slots that are left."""
        return max(0, self.total - self.used)


Loads = dict[str, Load]
"""By the name of the member."""


class DirectoryLink(Protocol):
    """The directory, wherever it runs. Every call may raise UnavailableError."""

    async def beat(self, member: MemberInfo, load: Load, known: View) -> View:
        """A member says that it lives, and what it knows; the view as it is now."""
        ...

    async def look(self) -> tuple[View, Loads]:
        """The view as it is now, and how full everybody is."""
        ...

    async def gone(self, name: str) -> View:
        """A member has nothing left, and ends."""
        ...

    async def suspect(self, name: str) -> View:
        """Somebody could not connect to a member; if nobody can, it is taken off."""
        ...
