"""`Ring`: consistent hashing: which of several servers a session belongs to, the same for whoever asks"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Iterable, Sequence

from ..errors import OptionError

POINTS = 256
"""Places of one member on the ring: more spread the sessions more evenly, and cost memory."""


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
        places = sorted((at, number) for number, one in enumerate(self.members) for at in spread(one, points))
        self._places: Sequence[int] = [at for at, _ in places]
        self._numbers: Sequence[int] = [number for _, number in places]

    def owner(self, key: str) -> str | None:
        """The member that a key belongs to; None where there is no member."""
        if not self._places:
            return None
        after = bisect_right(self._places, place(key))
        return self.members[self._numbers[after % len(self._numbers)]]


def place(key: str) -> int:
    """Where on the ring a key lies: 64 bits, the same in every process and on every machine."""
    return int.from_bytes(hashlib.blake2b(key.encode(), digest_size=8).digest(), "big")


def spread(member: str, points: int) -> Iterable[int]:
    """Where on the ring a member lies: 8 places to a hash."""
    for block in range(0, points, 8):
        digest = hashlib.blake2b(f"{member}\0{block}".encode()).digest()
        for part in range(min(8, points - block)):
            yield int.from_bytes(digest[8 * part : 8 * part + 8], "big")
