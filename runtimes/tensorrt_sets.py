"""Sets of buffers by size of frames, each lent to one call at a time.

While the GPU works on one set, the next call is packed into another. A size gets its second set when two
calls are under way at once; the last few sizes keep theirs.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from ..bundles import Size
from .tensorrt_bound import BoundFunction

MOST_FRAME_SIZES = 4
"""Sizes of frames that keep their buffers and graphs at once; beyond, the one unused longest gives way."""
SETS = 2
"""Of one size: as many batches as the engine has under way at once."""


@dataclass
class Kept:
    """The sets of one size: all of them, and those that nobody has."""

    made: list[BoundFunction] = field(default_factory=list)
    idle: list[BoundFunction] = field(default_factory=list)

    @property
    def is_lent(self) -> bool:
        """Whether somebody has one."""
        return len(self.idle) < len(self.made)


class BufferSets:
    """Buffers of one function.

    Args:
        make: makes a set for a size of frames (height, width), or for the only one, None.
        close: gives back what a set holds.
    """

    def __init__(
        self, make: Callable[[Size | None], BoundFunction], close: Callable[[BoundFunction], None]
    ) -> None:
        self._make, self._close = make, close
        self._sizes: dict[Size | None, Kept] = {}
        self._turn = threading.Condition()

    def prepare(self, size: Size | None) -> None:
        """Makes all sets of a size, and all batch sizes of each, so that no call has to."""
        with self._turn:
            kept = self._sizes.setdefault(size, Kept())
            while len(kept.made) < SETS:
                self._add(kept, size)
                kept.made[-1].prepare()

    @contextmanager
    def lent(self, size: Size | None) -> Iterator[BoundFunction]:
        """A set for frames of a size, made if there is none yet; waits where all are lent."""
        with self._turn:
            while (one := self._free(size)) is None:
                self._turn.wait()
        try:
            yield one
        finally:
            with self._turn:
                self._sizes[size].idle.append(one)
                self._turn.notify_all()

    def all(self) -> list[BoundFunction]:
        """Every set that there is."""
        return [one for kept in list(self._sizes.values()) for one in kept.made]

    def close(self) -> None:
        """Gives back all of them, each when its call has ended."""
        with self._turn:
            while any(kept.is_lent for kept in self._sizes.values()):
                self._turn.wait()
            while self._sizes:
                self._give_up(next(iter(self._sizes)))

    def _free(self, size: Size | None) -> BoundFunction | None:
        """A set that nobody has, or a new one; None where neither can be."""
        if size not in self._sizes and not self._has_room():
            return None
        kept = self._sizes.get(size) or Kept()
        if not kept.idle and len(kept.made) < SETS:
            self._add(kept, size)
        self._sizes.pop(size, None)
        self._sizes[size] = kept  # the last used stands last
        return kept.idle.pop() if kept.idle else None

    def _has_room(self) -> bool:
        """Whether one more size can have sets; the one unused longest gives way to it."""
        while len(self._sizes) >= MOST_FRAME_SIZES:
            unused = next((size for size, kept in self._sizes.items() if not kept.is_lent), "none")
            if isinstance(unused, str):
                return False
            self._give_up(unused)
        return True

    def _add(self, kept: Kept, size: Size | None) -> None:
        one = self._make(size)
        kept.made.append(one)
        kept.idle.append(one)

    def _give_up(self, size: Size | None) -> None:
        for one in self._sizes.pop(size).made:
            self._close(one)
