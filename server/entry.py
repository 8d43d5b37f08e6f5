"""`Entry`: one session of the server: who is connected to it, and how long it may stay."""

from __future__ import annotations

import asyncio
import secrets
import time
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Protocol

from ..engine import Session
from ..errors import FrameError, FramestateError
from ..vision import Frame
from .flow import Rate, Sent
from .settings import Settings


class Connection(Protocol):
    """Whoever is connected to a session, as the hub sees it."""

    def end(self, error: FramestateError) -> None:
        """Tells the peer that its session has ended, and closes."""

    async def quiet(self) -> None:
        """Takes nothing in any more; returns when all that came before is answered."""

    def part(self) -> None:
        """After ``quiet``: tells the peer to connect again, and closes."""


def new_token() -> str:
    """What only the client of one session knows."""
    return secrets.token_urlsafe(24)


@dataclass(eq=False)
class Entry:
    """One session of the server.

    Attributes:
        model: the name of its model.
        opened_at: seconds since 1970.
        used_at: when it was last heard of, monotonic seconds.
        connection: who is connected; None while nobody is.
        was_connected: it belongs to a stream, and ends soon after that does.
        in_flight: frames under way.
        restored: it comes from a snapshot.
        rate: how many frames a second it may get over REST.
        kept: it ends only when told to, as that of a live source.
        sent: its last answers, for a stream that is taken up again.
        token: with which its client takes it over from a connection of its own that has died unseen.
        settling: done when frames that a lost stream left behind are taken back.
    """

    session: Session[Any]
    model: str
    opened_at: float = field(default_factory=time.time)
    used_at: float = field(default_factory=time.monotonic)
    connection: Connection | None = None
    was_connected: bool = False
    in_flight: int = 0
    restored: bool = False
    kept: bool = False
    rate: Rate | None = None
    token: str = field(default_factory=new_token)
    settling: asyncio.Task[None] | None = None
    sent: Sent = field(init=False)

    def __post_init__(self) -> None:
        self.moved()

    @property
    def last_index(self) -> int | None:
        """Of the last frame that it took; None before the first."""
        clock = self.session.clock
        return None if clock is None else clock.index

    @property
    def tick(self) -> Fraction:
        """Seconds a tick of its frames."""
        clock = self.session.clock
        return Fraction(1, 1000) if clock is None else clock.time_base

    def check_number(self, frame: Frame) -> None:
        """Raises FrameError unless the frame's number comes after the last one's."""
        last = self.last_index
        if last is not None and frame.index <= last:
            raise FrameError(
                f"frame {frame.index} came after frame {last}",
                "number frames upwards, and send them in order",
            )

    @property
    def id(self) -> str:
        """The session's id."""
        return self.session.id

    def moved(self) -> None:
        """It was put back to a snapshot: what was sent before that is no more."""
        self.sent = Sent(0 if self.last_index is None else self.last_index + 1)
        self.used_at = time.monotonic()

    @property
    def is_active(self) -> bool:
        """Somebody is connected, or frames are under way."""
        return self.connection is not None or self.in_flight > 0

    def seconds_left(self, settings: Settings) -> float:
        """Until it ends if nothing is heard of it."""
        if self.is_active or self.kept:
            return float("inf")
        allowed = settings.grace_s if self.was_connected else settings.idle_s
        return self.used_at + allowed - time.monotonic()
