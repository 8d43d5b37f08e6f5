"""A video that is there already, several frames at a time: a frame's flight begins as soon as the one before
has said what the session will be, and pieces come out in order.

Each flight has a thread to itself from its start to its end. Threads make no more than so many pieces before
they are asked for; the oldest flight alone is never held back, as all others wait for it.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ..errors import FramestateError
from ..vision import Frame
from .core import Core
from .flight import Flight
from .inputs import Clock
from .session import Session
from .standing import Standing

_AHEAD = 2  # flights, and pieces, a lane that may be begun before they are asked for: what bounds memory


class _Stopped(Exception):
    """Nobody takes the pieces any more."""


class _Run:
    """One frame's flight, on a thread of its own."""

    def __init__(self, line: _Line, frame: Frame, memory: Any) -> None:
        self.clock = Clock.of(frame)
        self.pieces: deque[Any] = deque()
        self.has_next = False  # whether the frame after it may begin, from:
        self.next_memory: Any = None
        self.has_ended = False
        self._line = line
        step = line.core.task.step
        self.flight = Flight(line.session.slot, lambda: step(memory, frame), self._put, self._early)

    def fly(self) -> None:
        """To its end. Runs on a thread of the pool."""
        try:
            while not self.flight.is_done:
                self._line.core.pilot.turn([self.flight])
        except BaseException as error:  # a fault of ours: whoever takes the pieces has to know
            self.flight.error = error if isinstance(error, Exception) else RuntimeError(repr(error))
        finally:
            with self._line.changed:
                self.has_ended = True
                self._line.changed.notify_all()

    def _put(self, piece: Any) -> bool:
        line = self._line
        with line.changed:
            while not line.has_room_for(self):
                line.changed.wait()
            if line.stopped:
                raise _Stopped
            self.pieces.append(piece)
            line.changed.notify_all()
        return True

    def _early(self, memory: Any) -> None:
        with self._line.changed:
            self.has_next, self.next_memory = True, memory
            self._line.changed.notify_all()


class _Line:
    """The flights that have begun, in order."""

    def __init__(self, core: Core, session: Session[Any], lanes: int) -> None:
        self.core, self.session, self.lanes = core, session, lanes
        self.changed = threading.Condition()
        self.runs: deque[_Run] = deque()
        self.stopped = False

    def has_room_for(self, run: _Run) -> bool:
        """Whether a flight may make one more piece now, or is to stop."""
        waiting = sum(len(one.pieces) for one in self.runs)
        return self.stopped or run is self.runs[0] or waiting < _AHEAD * self.lanes

    def next_memory(self) -> tuple[bool, Any]:
        """What the next frame may begin from, if that is known."""
        if not self.runs:
            return True, self.session.memory
        last = self.runs[-1]
        return (last.has_next and len(self.runs) < _AHEAD * self.lanes), last.next_memory


def pipelined(
    core: Core,
    session: Session[Any],
    frames: Iterator[Frame],
    lanes: int,
    check: Callable[[Session[Any]], None],
) -> Iterator[Any]:
    """The pieces of the answers to all frames, in order, up to ``lanes`` frames in flight.

    The session moves on as the last piece of a frame is handed over. What came before a frame that fails is
    handed over before its error is raised.
    """
    line = _Line(core, session, lanes)
    pool = ThreadPoolExecutor(lanes, thread_name_prefix="framestate-ahead")
    clock, failure, more = session.clock, None, True
    try:
        while True:
            with line.changed:
                ready, memory = line.next_memory()
            if more and failure is None and ready:
                try:
                    frame = next(frames, None)
                    check(session)
                    if frame is not None and clock is not None:
                        core.task.check(clock, frame)
                except FramestateError as error:
                    failure = error
                    continue
                more = frame is not None
                if frame is not None:
                    run, clock = _Run(line, frame, memory), Clock.of(frame)
                    with line.changed:
                        line.runs.append(run)
                    pool.submit(run.fly)
                continue
            if not line.runs:
                if failure is not None:
                    raise failure
                return
            head = line.runs[0]
            with line.changed:
                while not (
                    head.pieces or head.has_ended or (more and failure is None and line.next_memory()[0])
                ):
                    line.changed.wait()
                pieces = [head.pieces.popleft()] if head.pieces else []
                line.changed.notify_all()
            yield from pieces
            if not pieces and head.has_ended:
                _settle(line, head)
    finally:
        with line.changed:
            line.stopped = True
            line.changed.notify_all()
        pool.shutdown()


def _settle(line: _Line, head: _Run) -> None:
    """The session moves on by the oldest flight, or its error is raised."""
    line.core.pilot.commit([head.flight])
    flight = head.flight
    if flight.error is not None:
        raise flight.failure()
    assert flight.next is not None
    session, standing = line.session, line.session.standing
    session.standing = Standing(flight.next.memory, head.clock, standing.frames + 1)
    session.clock = head.clock
    with line.changed:
        line.runs.popleft()
        line.changed.notify_all()
