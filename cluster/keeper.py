"""`Keeper`: one server's snapshots in the vault, every few seconds; sessions that move take theirs along"""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Self

from ..engine import Engine, Session
from ..engine.autosave import mark
from ..errors import FramestateError, OptionError, SessionError
from .vault import Vault


class Keeper:
    """Writes the snapshots of an engine's sessions into a vault that other servers write into too.

    Unlike ``Autosave`` it takes up nothing by itself, as a session is taken up where it is asked for, and it
    removes the blob of a session only when that has ended for good.

    Args:
        engine: whose sessions.
        vault: where they are kept.
        every_s: seconds between two rounds.

    Raises:
        OptionError: ``every_s`` is not positive.
    """

    def __init__(self, engine: Engine, vault: Vault, *, every_s: float = 5.0) -> None:
        if not 0 < every_s <= 86_400:
            raise OptionError(f"every_s is {every_s}", "give seconds above 0, at most a day")
        self.engine = engine
        self.vault = vault
        self.failure: FramestateError | None = None
        """Why the last round could not be completed; None when it could."""
        self._every_s = every_s
        self._written: dict[str, object] = {}  # id: what is in the vault
        self._away: set[str] = set()  # sessions that move: another server writes them from now on
        self._lock = threading.Lock()  # held while one session is written
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="framestate-keeper", daemon=True)

    def save(self) -> int:
        """Writes every session that has moved on since, and returns how many. Raises SessionError."""
        count = 0
        failure: SessionError | None = None
        for session in self.engine.service.sessions():
            try:
                count += self.save_one(session)
            except SessionError as error:
                failure = failure or error
        if failure is not None:
            raise failure
        return count

    def save_one(self, session: Session) -> bool:
        """Writes one session if it has moved on since. Raises SessionError."""
        with self._lock:
            now = mark(session)
            if session.closed or session.id in self._away or self._written.get(session.id) == now:
                return False
            try:
                blob = session.snapshot().result()
            except SessionError:  # it ended meanwhile
                return False
            self.vault.write(session.id, blob)
            self._written[session.id] = now
            return True

    def read(self, key: str) -> bytes | None:
        """The last snapshot of a session that was somewhere else. Raises SessionError."""
        return self.vault.read(key)

    def hold(self, key: str) -> None:
        """From now on the session's blob is another server's to write. Waits for a write under way."""
        with self._lock:
            self._away.add(key)

    def taken(self, key: str) -> None:
        """A session has come, or stays after all: it is written here."""
        with self._lock:
            self._away.discard(key)
            self._written.pop(key, None)

    def ended(self, key: str) -> None:
        """Removes the blob of a session that ended for good. Raises SessionError."""
        with self._lock:
            self._written.pop(key, None)
            self.vault.remove(key)

    def close(self) -> None:
        """Ends the rounds after a last one; what is open then stays in the vault."""
        self._stop.set()
        if self._thread.is_alive():
            self._thread.join()
        self._round()

    def _run(self) -> None:
        while not self._stop.wait(self._every_s):
            self._round()

    def _round(self) -> None:
        try:
            self.save()
            self.failure = None
        except FramestateError as error:
            self.failure = error

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
