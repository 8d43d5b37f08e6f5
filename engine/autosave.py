"""Sessions on disk: snapshots every few seconds, each written whole or not at all; a restart takes them up.

One file a session, ``<id>.session``, in a folder of the engine's own.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from ..errors import FramestateError, OptionError, SessionError
from .engine import Engine
from .inputs import Clock
from .rounds import Rounds
from .session import Session
from .session_options import check_id

ENDING = ".session"
MOST_AT_ONCE, BYTES_AT_ONCE = 32, 64 * 1024 * 1024
"""Snapshots that are held before they are written."""
Mark = tuple[Clock | None, int, bool]


class Autosave(Rounds):
    """Writes the snapshots of an engine's sessions into a folder.

    ::

        with Autosave(engine, "state") as autosave:
            sessions, refused = autosave.restore()
            ...

    A session that has not moved is not written again; the file of one that was closed is removed. Leaving the
    block writes a last time, so close it before the engine.

    Args:
        engine: whose sessions.
        folder: made if it is missing.
        every_s: seconds between two rounds.

    Raises:
        OptionError: ``every_s`` is not positive, or the folder cannot be made.
    """

    def __init__(self, engine: Engine, folder: str | os.PathLike[str], *, every_s: float = 5.0) -> None:
        super().__init__(every_s, "framestate-autosave")
        self.folder = Path(folder)
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OptionError(f"{folder} cannot be made ({error})", "choose another folder") from error
        self._engine = engine
        self._written: dict[str, Mark] = {}  # id: of what is on disk
        self._lock = threading.Lock()

    def restore(self) -> tuple[list[Session[Any]], dict[str, FramestateError]]:
        """Takes up every session in the folder: those that go on, and by file why others cannot.

        The file of one that cannot go on is kept; what a crash left of half a file is removed.
        """
        for path in self.folder.glob(f".*{ENDING}.*.tmp"):
            path.unlink(missing_ok=True)
        sessions: list[Session[Any]] = []
        refused: dict[str, FramestateError] = {}
        for path in sorted(self.folder.glob(f"*{ENDING}")):
            try:
                key = check_id(path.name.removesuffix(ENDING))
                session = self._engine.restore(path.read_bytes(), session_id=key)
                sessions.append(session)
                self._written[key] = mark(session)
            except OSError as error:
                refused[path.name] = SessionError(f"{path} cannot be read ({error})", "check the file")
            except FramestateError as error:
                refused[path.name] = error
        return sessions, refused

    def save(self) -> int:
        """Writes every session that has moved since, and returns how many were written.

        Raises:
            OSError: a file could not be written; the one that stood there still does.
        """
        with self._lock:
            open_now = {session.id: session for session in self._engine.sessions()}
            count = 0
            marks = {key: mark(one) for key, one in open_now.items()}
            moved = [(open_now[key], now) for key, now in marks.items() if self._written.get(key) != now]
            at_once = max(1, min(MOST_AT_ONCE, BYTES_AT_ONCE // max(1, self._engine.capacity.state_bytes)))
            for begin in range(0, len(moved), at_once):
                count += self._save(moved[begin : begin + at_once])
            for key in [key for key in self._written if key not in open_now]:
                (self.folder / f"{key}{ENDING}").unlink(missing_ok=True)
                del self._written[key]
            return count

    def _save(self, moved: Sequence[tuple[Session[Any], Mark]]) -> int:
        """Writes these, asked for together: one by one, each would wait for a turn of some other session."""
        asked: list[tuple[str, Mark, Future[bytes]]] = []
        for session, now in moved:
            with contextlib.suppress(SessionError):  # closed meanwhile: its file goes with the next round
                asked.append((session.id, now, session.snapshot_nowait()))
        count = 0
        for key, now, blob in asked:
            with contextlib.suppress(SessionError):
                write_whole(self.folder / f"{key}{ENDING}", blob.result())
                self._written[key] = now
                count += 1
        return count


def mark(session: Session[Any]) -> Mark:
    """What changes whenever a session's state does."""
    standing = session.standing
    return standing.clock, standing.frames, standing.ended


def write_whole(path: Path, content: bytes) -> None:
    """Writes a file beside ``path`` and moves it there, so that ``path`` holds all or nothing of it."""
    scratch = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with scratch.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(path)
    finally:
        scratch.unlink(missing_ok=True)
