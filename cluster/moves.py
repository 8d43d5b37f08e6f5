"""What came and went at a server of a cluster, and the answer of one that is not the owner"""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import RunError


class Misdirected(RunError):
    """A session belongs to another server; internal, and never shown to a client."""


@dataclass
class Moves:
    """What came and went, for ``/v1/cluster``. Seconds are of the whole move: quiet, snapshot, put."""

    sent: int = 0
    received: int = 0
    recovered: int = 0
    seconds: float = 0.0
    longest_s: float = 0.0

    def count(self, seconds: float) -> None:
        """One was sent, in so many seconds."""
        self.sent += 1
        self.seconds += seconds
        self.longest_s = max(self.longest_s, seconds)
