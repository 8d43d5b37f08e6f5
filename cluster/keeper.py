"""`Keeper`: one server's snapshots in the vault, every few seconds; sessions that move take theirs along"""

from __future__ import annotations

import threading
from typing import Any

from ..engine import Engine, Session
from ..engine.autosave import mark
from ..engine.rounds import Rounds
from ..errors import SessionError
from .vault import Vault


class Keeper(Rounds):
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
        super().__init__(every_s, "framestate-keeper")
        self.engine = engine
        self.vault = vault
        self._written: dict[str, object] = {}  # id: what is in the vault
        self._away: set[str] = set()  # sessions that move: another server writes them from now on
        self._lock = threading.Lock()  # held while one session is written

    def save(self) -> int:
        """Writes every session that has moved on since, and returns how many. Raises SessionError."""
        count = 0
        failure: SessionError | None = None
        for session in self.engine.sessions():
            if session.part_of:
                continue
            try:
                count += self.save_one(session)
            except SessionError as error:
                failure = failure or error
        if failure is not None:
            raise failure
        return count

    def save_one(self, session: Session[Any]) -> bool:
        """Writes one session if it has moved on since. Raises SessionError."""
        with self._lock:
            now = mark(session)
            if session.closed or session.id in self._away or self._written.get(session.id) == now:
                return False
            try:
                blob = session.snapshot()
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
