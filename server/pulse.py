"""`Pulse`: whether an engine answers. It is asked now and then, and nobody waits for it."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future

from ..engine import Engine
from ..errors import FramestateError, UnavailableError

PATIENCE_S = 5.0
"""An engine that does nothing between two turns for so long, or for three of its turns, is broken."""


class Pulse:
    """Asks an engine's lanes to do nothing, which they do between two turns."""

    def __init__(self, model: str, engine: Engine) -> None:
        self._model, self._engine = model, engine
        self._lock = threading.Lock()
        self._asked: Future[None] | None = None
        self._asked_at = 0.0

    def ask(self) -> None:
        """Asks, unless an answer is still waited for."""
        with self._lock:
            if self._asked is None or self._asked.done():
                self._asked_at = time.monotonic()
                try:
                    self._asked = self._engine.service.call(_nothing)
                except FramestateError as error:
                    self._asked = Future()
                    self._asked.set_exception(error)

    def check(self) -> None:
        """Raises UnavailableError when the engine's lanes have ended, or did not answer for too long."""
        if self._asked is None or self._asked.done():
            self.ask()
        asked = self._asked
        assert asked is not None, "it has been asked"
        if not asked.done():
            patience = max(PATIENCE_S, 3 * self._engine.service.longest_turn_s)
            if time.monotonic() - self._asked_at > patience:
                raise UnavailableError(
                    f"the engine of {self._model!r} has not answered for {patience:.0f} s",
                    "restart the server if it stays so",
                )
            return
        error = asked.exception()
        if isinstance(error, FramestateError):
            problem = f"the engine of {self._model!r} is broken ({error.problem})"
            raise UnavailableError(problem, "restart the server") from error


def _nothing() -> None:
    """What the engine is asked to do."""
