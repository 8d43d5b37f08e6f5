"""Sessions on disk: snapshots every few seconds, each written whole or not at all; a restart takes them up.

One file a session, ``<id>.session``, in a folder of the engine's own. `Keeping` keeps whatever has a blob.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from ..errors import FramestateError, OptionError, SessionError
from .engine import Engine
from .inputs import Clock
from .rounds import Rounds
from .session import Session
from .session_options import check_id

ENDING = ".session"
MOST_AT_ONCE, BYTES_AT_ONCE = 32, 64 * 1024 * 1024
"""Snapshots that are held before they are written."""
Mark = tuple[Clock | None, int, bool, int]


class Snapshots(Protocol):
    """What can be kept: it has a blob."""

    id: str

    def snapshot_nowait(self) -> Future[bytes]:
        """A future of its blob. Raises SessionError, or has it in the future: it has ended."""


Kept = TypeVar("Kept", bound=Snapshots)


class Keeping(Rounds, Generic[Kept]):
    """Writes the snapshots of what is open into a folder, each into a file of its own.

    One that has not moved is not written again; the file of one that was closed is removed. Leaving the
    block writes a last time, so close it before the engine.

    Args:
        folder: made if it is missing.
        ending: of the files.
        every_s: seconds between two rounds.
        at_once: snapshots that are held before they are written.

    Raises:
        OptionError: ``every_s`` is not positive, or the folder cannot be made.
    """

    def __init__(self, folder: str | os.PathLike[str], ending: str, every_s: float, at_once: int) -> None:
        super().__init__(every_s, "framestate-autosave")
        self.folder = Path(folder)
        self._ending, self._at_once = ending, at_once
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OptionError(f"{folder} cannot be made ({error})", "choose another folder") from error
        self._written: dict[str, object] = {}  # id: the mark of what is on disk
        self._lock = threading.Lock()

    def opened(self) -> Iterable[Kept]:
        """What is open now. Any thread may ask."""
        raise NotImplementedError

    def taken_up(self, key: str, blob: bytes) -> Kept:
        """Goes on from a blob, under this id. Raises FramestateError."""
        raise NotImplementedError

    def mark(self, one: Kept) -> object:
        """What differs whenever it has moved."""
        raise NotImplementedError

    def restore(self) -> tuple[list[Kept], dict[str, FramestateError]]:
        """Takes up everything in the folder: what goes on, and by file why others cannot.

        The file of one that cannot go on is kept; what a crash left of half a file is removed.
        """
        for path in self.folder.glob(f".*{self._ending}.*.tmp"):
            path.unlink(missing_ok=True)
        sessions: list[Kept] = []
        refused: dict[str, FramestateError] = {}
        for path in sorted(self.folder.glob(f"*{self._ending}")):
            try:
                key = check_id(path.name.removesuffix(self._ending))
                session = self.taken_up(key, path.read_bytes())
                sessions.append(session)
                self._written[key] = self.mark(session)
            except OSError as error:
                refused[path.name] = SessionError(f"{path} cannot be read ({error})", "check the file")
            except FramestateError as error:
                refused[path.name] = error
        return sessions, refused

    def save(self) -> int:
        """Writes all that has moved since, and returns how many were written.

        Raises:
            OSError: a file could not be written; the one that stood there still does.
        """
        with self._lock:
            open_now = {session.id: session for session in self.opened()}
            count = 0
            marks = {key: self.mark(one) for key, one in open_now.items()}
            moved = [(open_now[key], now) for key, now in marks.items() if self._written.get(key) != now]
            for begin in range(0, len(moved), self._at_once):
                count += self._save(moved[begin : begin + self._at_once])
            for key in [key for key in self._written if key not in open_now]:
                (self.folder / f"{key}{self._ending}").unlink(missing_ok=True)
                del self._written[key]
            return count

    def _save(self, moved: Sequence[tuple[Kept, object]]) -> int:
        """Writes these, asked for together: one by one, each would wait for a turn of some other session."""
        asked: list[tuple[str, object, Future[bytes]]] = []
        for session, now in moved:
            with contextlib.suppress(SessionError):  # closed meanwhile: its file goes with the next round
                asked.append((session.id, now, session.snapshot_nowait()))
        count = 0
        for key, now, blob in asked:
            with contextlib.suppress(SessionError):
                write_whole(self.folder / f"{key}{self._ending}", blob.result())
                self._written[key] = now
                count += 1
        return count


class Autosave(Keeping[Session[Any]]):
    """Writes the snapshots of an engine's sessions into a folder.

    ::

        with Autosave(engine, "state") as autosave:
            sessions, refused = autosave.restore()
            ...

    The targets of scenes are left out: a snapshot of their scene holds them.

    Args:
        engine: whose sessions.
        folder: made if it is missing.
        every_s: seconds between two rounds.

    Raises:
        OptionError: ``every_s`` is not positive, or the folder cannot be made.
    """

    def __init__(self, engine: Engine, folder: str | os.PathLike[str], *, every_s: float = 5.0) -> None:
        at_once = min(MOST_AT_ONCE, BYTES_AT_ONCE // max(1, engine.capacity.state_bytes))
        super().__init__(folder, ENDING, every_s, max(1, at_once))
        self._engine = engine

    def opened(self) -> list[Session[Any]]:
        """Those that are part of no scene."""
        return [session for session in self._engine.sessions() if not session.part_of]

    def taken_up(self, key: str, blob: bytes) -> Session[Any]:
        """See ``Engine.restore``."""
        return self._engine.restore(blob, session_id=key)

    def mark(self, one: Session[Any]) -> Mark:
        """See ``mark``."""
        return mark(one)


def mark(session: Session[Any]) -> Mark:
    """What changes whenever a session's state does."""
    standing = session.standing
    return standing.clock, standing.frames, standing.ended, standing.corrections


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
