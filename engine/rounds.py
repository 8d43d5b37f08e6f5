"""`Rounds`: something done every few seconds by a thread of its own, until it is closed; then once more."""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import Self

from ..errors import FramestateError, OptionError


class Rounds:
    """Calls ``save`` every ``every_s`` seconds from entering the block on, and a last time on leaving it.

    Raises:
        OptionError: ``every_s`` is not positive.
    """

    def __init__(self, every_s: float, name: str) -> None:
        if not 0 < every_s <= 86_400:
            raise OptionError(f"every_s is {every_s}", "give seconds above 0, at most a day")
        self.failure: OSError | FramestateError | None = None
        """Why the last round could not be completed; None when it could."""
        self.seconds = 0.0
        """How long the last round took."""
        self._every_s = every_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def save(self) -> int:
        """One round; returns how many were written."""
        raise NotImplementedError

    def close(self) -> None:
        """Ends the rounds after a last one; what was written stays."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        self.round()

    def _run(self) -> None:
        while not self._stop.wait(self._every_s):
            self.round()

    def round(self) -> None:
        """``save``, timed; what fails it is told in ``failure``. Any thread."""
        began = time.monotonic()
        try:
            self.save()
            self.failure = None
        except (OSError, FramestateError) as error:
            self.failure = error
        finally:
            self.seconds = time.monotonic() - began

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
