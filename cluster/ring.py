"""`Ring`: consistent hashing: which of several servers a session belongs to, the same for whoever asks"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from ..errors import OptionError

POINTS = 256
"""Places of one member on the ring: more spread the sessions more evenly, and cost memory."""
DIGEST_PLACES = 8


class Ring:
    """Members on a circle of 2**64 places. A key belongs to the member whose place comes next.

    A member that joins takes keys from all others alike, and one that leaves gives its keys to all others:
    no other key moves.

    Args:
        members: their names, each once, in any order.
        points: places of each.

    Raises:
        OptionError: ``points`` is below 1, or a name is there twice.
    """

    def __init__(self, members: Iterable[str], *, points: int = POINTS) -> None:
        self.members: tuple[str, ...] = tuple(sorted(members))
        if points < 1 or len(set(self.members)) != len(self.members):
            raise OptionError(
                f"points is {points}, members are {', '.join(self.members)[:200]}",
                "give 1 point or more, and every member once",
            )
        digests = b"".join(part for one in self.members for part in spread(one, points))
        blocks = -(-points // DIGEST_PLACES) * DIGEST_PLACES
        places = np.frombuffer(digests, "<u8").reshape(-1, blocks)[:, :points].reshape(-1)
        order = np.argsort(places, kind="stable")
        self._places = places[order]
        self._owners = (order // points).astype(np.int32)

    def owner(self, key: str) -> str | None:
        """The member that a key belongs to; None where there is no member."""
        return self.members[int(self.owners([key])[0])] if self.members else None

    def owners(self, keys: Sequence[str]) -> np.ndarray[tuple[int], np.dtype[np.int32]]:
        """The members that keys belong to, as places in ``members``, of which there is one or more."""
        after = np.searchsorted(self._places, np.array([place(key) for key in keys], "<u8"), side="right")
        found: np.ndarray[tuple[int], np.dtype[np.int32]] = self._owners[after % len(self._owners)]
        return found


def place(key: str) -> int:
    """Where on the ring a key lies: 64 bits, the same in every process and on every machine."""
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "little")


def spread(member: str, points: int) -> Iterator[bytes]:
    """Where on the ring a member lies: digests of 8 places each."""
    for block in range(0, points, DIGEST_PLACES):
        yield hashlib.blake2b(f"{member}\0{block}".encode()).digest()
