"""Work that threads share: values computed once, and tasks run ahead whose results keep their order."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

Value = TypeVar("Value")
_AHEAD = 2  # tasks a lane that may be begun before the oldest result is taken: what bounds memory


class Later(Generic[Value]):
    """A value that is computed when it is first asked for, by whichever thread asks; others wait for it.

    A failure is not kept: who asks next tries again. What it was computed from is let go of.
    """

    def __init__(self, make: Callable[[], Value]) -> None:
        self._make: Callable[[], Value] | None = make
        self._lock = threading.Lock()

    def get(self) -> Value:
        """The value. Raises what computing it raises."""
        with self._lock:
            if self._make is not None:
                self._value = self._make()
                self._make = None
            return self._value


def in_order(tasks: Iterable[Callable[[], Value]], lanes: int) -> Iterator[Value]:
    """The results of tasks, in their order, while up to ``lanes`` of them run side by side.

    Tasks are taken no further ahead than twice the lanes. With one lane each runs when its result is asked
    for, on the caller's thread. Ends with the first failure; tasks that were not begun then never are.
    """
    if lanes == 1:
        for task in tasks:
            yield task()
        return
    pool = ThreadPoolExecutor(lanes, thread_name_prefix="framestate-ahead")
    waiting: deque[Future[Value]] = deque()
    try:
        for task in tasks:
            waiting.append(pool.submit(task))
            if len(waiting) >= _AHEAD * lanes:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)
