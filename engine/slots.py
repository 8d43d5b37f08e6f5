"""The pool of state rows: each is free or belongs to one session, and none is ever lost."""

from __future__ import annotations

from ..errors import CapacityError


class SlotPool:
    """Hands out rows 0 … capacity - 1, the most recently freed first."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._free = list(range(capacity - 1, -1, -1))
        self._used: set[int] = set()

    def take(self) -> int:
        """A free row. Raises CapacityError when there is none."""
        if not self._free:
            raise CapacityError(
                f"all {self.capacity} sessions of this engine are in use",
                "close a session, or load the engine with a larger capacity",
            )
        slot = self._free.pop()
        self._used.add(slot)
        return slot

    def free(self, slot: int) -> None:
        """Takes a row back."""
        assert slot in self._used, f"slot {slot} is not in use"
        self._used.remove(slot)
        self._free.append(slot)

    @property
    def num_free(self) -> int:
        """Rows that nobody has."""
        return len(self._free)

    @property
    def num_used(self) -> int:
        """Rows that belong to sessions."""
        return len(self._used)

    def check(self) -> None:
        """Free and used rows together are all rows, once each."""
        assert len(self._free) + len(self._used) == self.capacity
        assert sorted([*self._free, *self._used]) == list(range(self.capacity))
