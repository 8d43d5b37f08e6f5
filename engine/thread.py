"""`EngineThread`: one thread that serves batches, and runs what else needs the rows between two of them."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, Generic, TypeVar

from ..errors import SessionError
from .futures import fail, obey

T = TypeVar("T")
Item = TypeVar("Item")


class EngineThread(ABC, Generic[Item]):
    """The thread, its commands and its end; a subclass knows what a batch is and how it is served."""

    def __init__(self) -> None:
        self._wake = threading.Condition()  # guards the commands, and all that a subclass shares
        self._commands: deque[tuple[Callable[[], Any], Future[Any]]] = deque()
        self._closing = False
        self._why = "this engine is closed"
        self._thread = threading.Thread(target=self._run, name="framestate-engine", daemon=True)

    @abstractmethod
    def _take(self) -> tuple[list[Item], float | None]:
        """A batch to serve now, or an empty one and the seconds until there may be one. Has the lock."""

    @abstractmethod
    def _serve(self, batch: list[Item]) -> None:
        """Serves a batch and answers it."""

    @abstractmethod
    def _settle(self) -> None:
        """Checks what has to hold after commands were run."""

    @abstractmethod
    def _end(self) -> list[Future[Any]]:
        """Gives back everything, and returns the futures of what was never served. ``_closing`` is set."""

    def call(self, function: Callable[[], T]) -> Future[T]:
        """Runs a function on the engine's thread, between two steps."""
        if (
            threading.current_thread() is self._thread
        ):  # a callback of a future, which must not wait for itself
            future: Future[T] = Future()
            obey(function, future)
            return future
        with self._wake:
            if self._closing:
                raise SessionError(self._why, "load a new one")
            return self._post(function)

    def close(self) -> None:
        """Ends the thread and all sessions; whatever waits gets a SessionError."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        if threading.current_thread() is not self._thread:
            self._thread.join()

    def _post(self, function: Callable[[], T]) -> Future[T]:
        """Leaves a function to the engine's thread. Needs the lock."""
        future: Future[T] = Future()
        self._commands.append((function, future))
        self._wake.notify()
        return future

    def _run(self) -> None:
        try:
            while self._turn():
                pass
        except BaseException as error:
            self._why = f"the engine's thread ended with {type(error).__name__}: {error}"
            raise
        finally:
            self._finish()

    def _turn(self) -> bool:
        """Waits for something to do, and does it; False when the engine closes."""
        commands, batch = self._next()
        for function, future in commands:
            obey(function, future)
        if commands:
            self._settle()
        if batch:
            self._serve(batch)
        return not self._closing

    def _next(self) -> tuple[Sequence[tuple[Callable[[], Any], Future[Any]]], list[Item]]:
        """What to do next: commands, a batch of frames, or neither when the engine closes. Waits for it."""
        with self._wake:
            batch: list[Item] = []
            while not (self._closing or self._commands or batch):
                batch, seconds = self._take()
                if not batch:
                    self._wake.wait(seconds)
            commands, self._commands = self._commands, deque()
            return commands, batch

    def _finish(self) -> None:
        """Answers everything that is left with a SessionError."""
        with self._wake:
            self._closing = True
            commands, self._commands = self._commands, deque()
        for future in [*self._end(), *(future for _, future in commands)]:
            fail(future, SessionError(self._why, "load a new one"))
