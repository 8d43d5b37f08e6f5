"""Futures as the engine resolves them: each exactly once; and event loops, woken once for many."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager, suppress
from typing import Any, TypeVar

from ..errors import FramestateError, SessionError, StepError

Opened = TypeVar("Opened", bound=AbstractContextManager[Any])
Value = TypeVar("Value")


def obey(function: Callable[[], Any], future: Future[Any]) -> None:
    """Runs a function for a future, unless that was cancelled."""
    if not future.set_running_or_notify_cancel():
        return
    try:
        result = function()
    except Exception as error:
        future.set_exception(error)
    except BaseException as error:
        future.set_exception(SessionError(f"the engine's thread ended with {error!r}", "load a new one"))
        raise
    else:
        future.set_result(result)


def fail(future: Future[Any], error: FramestateError) -> None:
    """Answers what was never run, or not to its end, unless its caller has taken it back."""
    if not future.done() and (future.running() or future.set_running_or_notify_cancel()):
        future.set_exception(error)


async def claimed(future: Future[Opened]) -> Opened:
    """Waits for something that has to be closed, and closes it when the one who waits is cancelled."""
    try:
        return await asyncio.shield(asyncio.wrap_future(future))
    except asyncio.CancelledError:
        future.add_done_callback(discard)
        raise


def discard(future: Future[Opened]) -> None:
    """Closes what a future gave, if it gave something."""
    if not future.cancelled() and future.exception() is None:
        future.result().__exit__(None, None, None)


def closed_error(key: str) -> SessionError:
    """What a closed session answers."""
    return SessionError(f"session {key!r} is closed", "open a new one")


def as_step_error(error: Exception) -> FramestateError:
    """A typed error stays; anything else becomes a StepError that it is the cause of."""
    if isinstance(error, FramestateError):
        return error
    failed = StepError(f"the step failed ({type(error).__name__}: {error})", "the session is as it was")
    failed.__cause__ = error
    return failed


class Landing:
    """Answers on their way to one event loop: however many there are by then, the loop is woken once."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._landed: deque[tuple[Future[Any], asyncio.Future[Any]]] = deque()
        self._lock = threading.Lock()
        self._is_woken = False

    def expect(self, future: Future[Value]) -> asyncio.Future[Value]:
        """What can be awaited for a future; on the loop's own thread."""
        there: asyncio.Future[Value] = self._loop.create_future()
        future.add_done_callback(lambda done: self._land(done, there))
        return there

    def _land(self, done: Future[Any], there: asyncio.Future[Any]) -> None:
        self._landed.append((done, there))
        with self._lock:
            woken, self._is_woken = self._is_woken, True
        if not woken:
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                self._loop.call_soon_threadsafe(self._deliver)

    def _deliver(self) -> None:
        with self._lock:
            self._is_woken = False
        while self._landed:
            done, there = self._landed.popleft()
            if there.done():
                if not done.cancelled():
                    done.exception()
                continue
            if done.cancelled():
                there.cancel()
            elif (error := done.exception()) is not None:
                there.set_exception(error)
            else:
                there.set_result(done.result())
