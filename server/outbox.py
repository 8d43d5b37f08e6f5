"""What a stream sends: answers in the order they are made, never more waiting than a slow peer is allowed."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Callable, Sequence

from fastapi import WebSocket, WebSocketDisconnect

from ..errors import FramestateError, TooSlowError
from ..wire import Message, Picture
from .answers import Data, as_data

MOST_WAITING = 4096
MOST_BYTES = 16 * 1024 * 1024
"""Pictures for a peer are made no further ahead than this."""


class Outbox:
    """Sends over one WebSocket, from a task of its own, so that a peer who reads slowly holds up nobody.

    Any thread may post; the event loop is woken once for all that has been posted by then.

    Args:
        seconds: that the peer may take for one message.
    """

    def __init__(self, socket: WebSocket, seconds: float) -> None:
        self._socket = socket
        self._seconds = seconds
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()  # guards the next five
        self._waiting: deque[Data | None] = deque()
        self._done: deque[Callable[[], None]] = deque()
        self._held_up: list[Callable[[], object]] = []
        self._woken = False
        self._stuck = False
        self.bytes = 0
        """What waits to be sent, in bytes and characters."""
        self.closed = False
        self._posted = asyncio.Event()
        self.failed: asyncio.Future[FramestateError] = self._loop.create_future()
        """Done when the peer does not take what it is sent, or somebody else ends it."""
        self.task = asyncio.create_task(self._run(), name="outbox")
        """Done when nothing can be sent any more."""

    @property
    def is_full(self) -> bool:
        """Whether no more pictures should be made for now."""
        return self.bytes > MOST_BYTES

    def send(self, content: Message | Picture) -> None:
        """Queues a message or a picture."""
        self.post([as_data(content)])

    def post(self, messages: Sequence[Data], done: Callable[[], None] | None = None) -> None:
        """Queues messages; ``done`` is called on the event loop, also where nobody is there any more."""
        with self._lock:
            if not self.closed:
                self._waiting.extend(messages)
                self.bytes += sum(len(data) for data in messages)
            if done is not None:
                self._done.append(done)
            woken, self._woken = self._woken, True
        if not woken:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                self._loop.call_soon_threadsafe(self._wake)

    def when_room(self, call: Callable[[], object]) -> None:
        """Calls back, on any thread, when little enough waits that more may be made; never after the end."""
        with self._lock:
            if self.is_full and not self.closed:
                self._held_up.append(call)
                return
        if not self.closed:
            call()

    async def close(self, *, now: bool = False, seconds: float = float("inf")) -> None:
        """Sends what waits, and ends; ``now`` ends at once. A peer who does not read is not waited for.

        Args:
            seconds: that it takes at most, where that is less than the peer has for one message.
        """
        if not now and not self._stuck and not self.task.done():
            self._waiting.append(None)
            self._posted.set()
            await asyncio.wait([self.task], timeout=min(self._seconds, seconds))
        self.task.cancel()
        self._end()

    def end(self, error: FramestateError) -> None:
        """Has the connection end with this error. Runs on the event loop."""
        if not self.failed.done():
            self.failed.set_result(error)

    def _wake(self) -> None:
        with self._lock:
            self._woken = False
            done, self._done = self._done, deque()
        self._posted.set()
        if len(self._waiting) > MOST_WAITING:
            self._fail(f"{MOST_WAITING} answers wait for the peer to read them")
        for call in done:
            call()

    async def _run(self) -> None:
        try:
            while True:
                while self._waiting:
                    data = self._waiting.popleft()
                    if data is None:
                        return
                    async with asyncio.timeout(self._seconds):
                        if isinstance(data, str):
                            await self._socket.send_text(data)
                        else:
                            await self._socket.send_bytes(data)
                    self._sent(len(data))
                self._posted.clear()
                await self._posted.wait()
        except TimeoutError:
            self._fail(f"a message could not be sent for {self._seconds:g} s")
        except (WebSocketDisconnect, RuntimeError):  # it is closed: whoever reads from it knows already
            return
        finally:
            self._end()

    def _sent(self, count: int) -> None:
        with self._lock:
            self.bytes -= count
            held_up = [] if self.is_full else self._held_up
            if held_up:
                self._held_up = []
        for call in held_up:
            call()

    def _end(self) -> None:
        with self._lock:
            self.closed = True
            self._held_up = []

    def _fail(self, problem: str) -> None:
        self._stuck = True
        self.end(TooSlowError(problem, "read the answers as they come"))
