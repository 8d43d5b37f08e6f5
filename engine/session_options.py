"""How a session's frames are queued, and what may name a session."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..errors import OptionError
from .scheduler import Policy

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True)
class SessionOptions:
    """How a session's frames are queued.

    Attributes:
        policy: what happens to a frame that finds the queue full, see ``Policy``.
        deadline_ms: within how long a frame wants its answer; the earliest deadline goes first.
        queue: frames that may wait.
    """

    policy: Policy = Policy.WAIT
    deadline_ms: float = 100.0
    queue: int = 4

    def __post_init__(self) -> None:
        if self.policy not in list(Policy):
            raise OptionError(f"there is no policy {self.policy!r}", f"choose one of {', '.join(Policy)}")
        object.__setattr__(self, "policy", Policy(self.policy))
        numbers = [self.deadline_ms, self.queue]
        if any(isinstance(number, bool) or not isinstance(number, int | float) for number in numbers) or not (
            0 < self.deadline_ms <= 3.6e6 and 1 <= self.queue <= 10_000 and self.queue == int(self.queue)
        ):
            raise OptionError(
                f"deadline_ms is {self.deadline_ms!r} and queue is {self.queue!r}",
                "give milliseconds above 0, at most an hour, and 1 to 10,000 frames",
            )
        object.__setattr__(self, "deadline_ms", float(self.deadline_ms))
        object.__setattr__(self, "queue", int(self.queue))


def check_id(key: object) -> str:
    """Raises OptionError unless ``key`` can name a session, and a file."""
    if not isinstance(key, str) or not _ID.fullmatch(key):
        raise OptionError(f"{str(key)[:80]!r} cannot name a session", "use 1 to 64 letters, digits, - and _")
    return key
