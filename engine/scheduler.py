"""Which frames go into the next step: at most one of a session, the earliest deadline first.

A plain data structure with an injected clock: no threads, no futures, no tensors. All times are seconds.

A frame is *queued* when it is handed over, *ready* once it is the oldest of a session that has no frame in a
step, and *due* ``deadline`` after it became so. Counting from there, and not from its arrival, is what keeps
sessions fair: a backlog is its session's own affair, and who sends much stands in line like the rest.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Generic, TypeVar

from ..errors import CapacityError, OptionError, SessionError

Item = TypeVar("Item")


LEAST_PART = 8
"""Frames that go together however many batches are under way: a GPU takes as long for one of them."""


class Policy(StrEnum):
    """What happens to a frame that finds its session's queue full."""

    WAIT = "WAIT"
    """It is not taken: the caller waits. For files and REST."""
    DROP_OLDEST = "DROP_OLDEST"
    """The oldest queued frame makes room for it. For live video."""
    DROP_LATEST = "DROP_LATEST"
    """It is dropped itself."""


@dataclass(eq=False)
class Queue(Generic[Item]):
    """One session's frames."""

    policy: Policy
    limit: int
    deadline: float
    waiting: deque[Item] = field(default_factory=deque)
    urgent: deque[Item] = field(default_factory=deque)  # corrections: before all that waits, never dropped
    begun: Item | None = None  # a frame that has had a turn, and waits for the next one
    parked: Item | None = None  # a frame that has had a turn, and waits to be sent on
    ready_at: float = 0.0  # since when the oldest frame has been ready
    running: bool = False
    dropped: int = 0

    @property
    def is_ready(self) -> bool:
        """Whether a frame of it could be run now."""
        if self.running or self.parked is not None:
            return False
        return bool(self.waiting or self.urgent) or self.begun is not None


class Scheduler(Generic[Item]):
    """Queues of sessions, by key, and the choice of the next batch.

    Args:
        max_batch: most frames of a batch.
        patience: how long a frame may be held back for company, at most; 0 sends whatever is there.
        parts: batches that are under way side by side; each takes its part of many sessions.
        clock: seconds that never go back.
    """

    def __init__(
        self,
        max_batch: int = 1,
        *,
        patience: float = 0.0,
        parts: int = 1,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if max_batch < 1 or patience < 0 or parts < 1:
            raise OptionError(
                f"max_batch is {max_batch}, parts {parts} and patience {patience}",
                "give 1 or more, 1 or more, and 0 or more",
            )
        self.max_batch = max_batch
        self.patience = patience
        self.parts = parts
        self.step_seconds = 0.0  # running estimate of what a step takes
        self._clock = clock
        self._queues: dict[str, Queue[Item]] = {}

    def open(self, key: str, policy: Policy, *, limit: int, deadline: float, dropped: int = 0) -> None:
        """Adds a session. Raises OptionError for a limit below 1 or a deadline that is no positive time."""
        if limit < 1 or not 0 < deadline < float("inf") or policy not in list(Policy):
            raise OptionError(
                f"the policy is {policy!r}, the queue holds {limit} frames, the deadline is {deadline} s",
                f"choose one of {', '.join(Policy)}, 1 frame or more, and a positive time",
            )
        assert key not in self._queues
        self._queues[key] = Queue(Policy(policy), limit, deadline, dropped=dropped)

    def close(self, key: str) -> list[Item]:
        """Removes a session and returns its queued frames. A frame of it that is in a step stays there."""
        queue = self._queues.pop(key, None)
        if queue is None:
            return []
        begun = (item for item in (queue.begun, queue.parked) if item is not None)
        return [*begun, *queue.urgent, *queue.waiting]

    def submit(self, key: str, item: Item) -> Item | None:
        """Queues a frame, and returns the one that was dropped for it, if any: an older one, or itself.

        Raises:
            CapacityError: the queue is full and its policy is WAIT.
            SessionError: there is no such session.
        """
        queue = self._queues.get(key)
        if queue is None:
            raise SessionError(f"session {key!r} is closed", "open a new one")
        dropped = None
        if len(queue.waiting) >= queue.limit:
            if queue.policy is Policy.WAIT:
                raise CapacityError(
                    f"session {key!r} has {queue.limit} frames in its queue, as many as it may",
                    "await submit, which waits for room, or wait for an answer before sending more",
                )
            queue.dropped += 1
            if queue.policy is Policy.DROP_LATEST:
                return item
            dropped = queue.waiting.popleft()
        elif not queue.waiting:
            queue.ready_at = self._clock()  # not after a drop: the session keeps its place in line
        queue.waiting.append(item)
        return dropped

    def hurry(self, key: str, item: Item) -> None:
        """Queues what goes before all frames that wait. Raises SessionError: there is no such session."""
        queue = self._queues.get(key)
        if queue is None:
            raise SessionError(f"session {key!r} is closed", "open a new one")
        if not queue.waiting and not queue.urgent:
            queue.ready_at = self._clock()
        queue.urgent.append(item)

    def withdraw(self, key: str, item: Item) -> bool:
        """Takes a queued frame out again, uncounted; False when it is not queued any more."""
        queue = self._queues.get(key)
        if queue is None or item not in queue.waiting:
            return False
        queue.waiting.remove(item)
        return True

    def has_room(self, key: str) -> bool:
        """Whether a frame would be queued without dropping any."""
        queue = self._queues.get(key)
        return queue is not None and len(queue.waiting) < queue.limit

    def take(self) -> list[tuple[str, Item]]:
        """The next batch; empty while waiting is worth it. Its sessions are busy until ``done``."""
        if self.max_batch == 1:
            first = min((pair for pair in self._queues.items() if pair[1].is_ready), key=_due, default=None)
            return [] if first is None else [self._begin(*first)]
        now = self._clock()
        ready = self._ready()
        if not ready or not (self._is_full(ready) or now >= self._leave_at(ready)):
            return []
        return [self._begin(*pair) for pair in ready[: self._room]]

    def claim(self, key: str) -> bool:
        """Keeps a session's frames back; False while one of them is in a step, or it is gone."""
        queue = self._queues.get(key)
        if queue is None or queue.running:
            return False
        queue.running = True
        return True

    def unclaim(self, key: str) -> None:
        """Undoes ``claim``: the session stands where it stood."""
        queue = self._queues.get(key)
        if queue is not None:
            queue.running = False

    def park(self, key: str, item: Item) -> None:
        """A frame has had a turn, and wants no other until ``unpark``; the session's others wait for it."""
        queue = self._queues.get(key)
        if queue is not None:
            queue.running, queue.parked = False, item

    def unpark(self, key: str, item: Item) -> bool:
        """A parked frame wants its next turn; False where it is not parked."""
        queue = self._queues.get(key)
        if queue is None or queue.parked is not item:
            return False
        queue.parked = None
        self.again(key, item)
        return True

    def again(self, key: str, item: Item) -> None:
        """A frame has had a turn and wants another: it is the session's next, and stands in line anew."""
        queue = self._queues.get(key)
        if queue is not None:
            queue.running, queue.begun, queue.ready_at = False, item, self._clock()

    def drain(self, key: str) -> list[Item]:
        """Takes a session's frames that were not begun out of its queue."""
        queue = self._queues.get(key)
        if queue is None:
            return []
        items = [*queue.urgent, *queue.waiting]
        queue.urgent.clear()
        queue.waiting.clear()
        return items

    def note(self, seconds: float) -> None:
        """A step took so long."""
        self.step_seconds += 0.2 * (seconds - self.step_seconds) if self.step_seconds else seconds

    def done(self, keys: list[str]) -> None:
        """The frames that ``take`` gave have come to their end."""
        for key in keys:
            queue = self._queues.get(key)
            if queue is not None:
                queue.running = False
                queue.ready_at = self._clock()

    @property
    def is_ready(self) -> bool:
        """Whether some frame could be run now."""
        return any(queue.is_ready for queue in self._queues.values())

    def wake_at(self) -> float | None:
        """When ``take`` will give a batch if nothing else happens; None while there is no frame to run."""
        ready = self._ready()
        if not ready:
            return None
        return self._clock() if self._is_full(ready) else self._leave_at(ready)

    def num_dropped(self, key: str) -> int:
        """How many frames of a session were dropped since ``take_dropped``."""
        queue = self._queues.get(key)
        return queue.dropped if queue else 0

    def take_dropped(self, key: str) -> int:
        """How many frames of a session were dropped since this was last asked."""
        queue = self._queues.get(key)
        if queue is None:
            return 0
        count, queue.dropped = queue.dropped, 0
        return count

    def _ready(self) -> list[tuple[str, Queue[Item]]]:
        """Sessions with a frame to run, the earliest due first."""
        return sorted((pair for pair in self._queues.items() if pair[1].is_ready), key=_due)

    def _begin(self, key: str, queue: Queue[Item]) -> tuple[str, Item]:
        queue.running = True
        begun, queue.begun = queue.begun, None
        if begun is not None:
            return key, begun
        return key, (queue.urgent or queue.waiting).popleft()

    @property
    def _room(self) -> int:
        """Frames of the next batch, at most: an equal part of all sessions, unless they are few."""
        return min(self.max_batch, max(LEAST_PART, -(-len(self._queues) // self.parts)))

    def _is_full(self, ready: list[tuple[str, Queue[Item]]]) -> bool:
        """No more can join: the batch is full, or every session that could has its frame in it."""
        return len(ready) >= min(self._room, len(self._queues))

    def _leave_at(self, ready: list[tuple[str, Queue[Item]]]) -> float:
        """When the batch has to leave: a frame has waited long enough, or would miss its deadline."""
        return min(
            min(queue.ready_at + self.patience, queue.ready_at + queue.deadline - self.step_seconds)
            for _, queue in ready
        )


def _due(pair: tuple[str, Queue[Any]]) -> float:
    return pair[1].ready_at + pair[1].deadline
