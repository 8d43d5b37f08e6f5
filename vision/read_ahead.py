"""`ReadAhead`: frames decoded on a thread of their own, a few ahead of whoever uses them."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Generic, Self, TypeVar

from ..errors import OptionError

Item = TypeVar("Item")

AHEAD = 3
"""Frames that wait at most, beside the one in work: 75 MB of 4K."""
_LOOK_S = 0.1  # between two looks at whether anybody still wants more


class ReadAhead(Generic[Item]):
    """The items of a source in their order, made on a thread while those before are used.

    An error of the source is raised where its item would have come. Use as a context manager: leaving it
    ends the thread, which the source must outlive.

    ::

        with VideoReader("clip.mp4") as reader, ReadAhead(reader) as frames:
            for frame in frames:
                ...

    Args:
        source: what is iterated, on the thread alone from now on.
        ahead: items that wait at most.

    Raises:
        OptionError: ``ahead`` is below 1.
    """

    def __init__(self, source: Iterable[Item], ahead: int = AHEAD) -> None:
        if ahead < 1:
            raise OptionError(f"ahead is {ahead}", "Give 1 or more.")
        self._waiting: queue.Queue[tuple[Item] | BaseException] = queue.Queue(ahead)
        self._stopped = threading.Event()
        self._ended = False
        self._thread = threading.Thread(
            target=self._read, args=(source,), name="framestate-read-ahead", daemon=True
        )
        self._thread.start()

    def __iter__(self) -> Iterator[Item]:
        return self

    def __next__(self) -> Item:
        if self._ended:
            raise StopIteration
        found = self._waiting.get()
        if isinstance(found, tuple):
            return found[0]
        self._ended = True
        raise found

    def close(self) -> None:
        """Ends the thread; closing twice is harmless, and there are no more items then."""
        self._stopped.set()
        self._ended = True
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _read(self, source: Iterable[Item]) -> None:
        """The thread: items as tuples, then what ended them."""
        ending: BaseException = StopIteration()
        try:
            for item in source:
                if not self._put((item,)):
                    return
        except BaseException as error:
            ending = error
        self._put(ending)

    def _put(self, found: tuple[Item] | BaseException) -> bool:
        """Waits for room; false when nobody wants it any more."""
        while not self._stopped.is_set():
            try:
                self._waiting.put(found, timeout=_LOOK_S)
                return True
            except queue.Full:
                continue
        return False
