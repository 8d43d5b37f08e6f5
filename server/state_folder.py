"""`StateFolder`: where a server keeps what outlives it: a folder that is there, writable, and its alone."""

from __future__ import annotations

import os
import socket
import sys
import time
from pathlib import Path
from typing import IO

from ..errors import OptionError
from .event_log import EventLog
from .jobs import JobStore

LOCK = ".lock"
SESSIONS, VIDEOS, JOBS = "sessions", "videos", "jobs.sqlite"
TRY_S = 0.1


class StateFolder:
    """The state folder of a server, if it has one.

    One server holds it, by a lock that the kernel lets go of when the process ends, however it does. On
    Windows there is no such lock.

    Args:
        path: the folder; made if it is missing.
        wait_s: for how long a server that is about to leave is waited for.
    """

    def __init__(self, path: Path | None, wait_s: float) -> None:
        self.path = path
        self._wait_s = wait_s
        self._lock: IO[str] | None = None

    def open(self) -> None:
        """Takes the folder; harmless when this server has it.

        Raises:
            OptionError: it cannot be made or written, something in it is damaged, or another server has it.
        """
        if self.path is None or self._lock is not None:
            return
        try:
            for folder in (self.path, self.path / SESSIONS, self.path / VIDEOS):
                folder.mkdir(parents=True, exist_ok=True)
            lock = (self.path / LOCK).open("a+", encoding="utf-8")
        except OSError as error:
            raise OptionError(
                f"the state folder {self.path} cannot be used ({error.strerror or error})",
                "Make it writable, or choose another --state-dir.",
            ) from error
        try:
            self._take(lock)
            JobStore(self.path / JOBS).close()
            EventLog(self.path, 1).open().close()
        except BaseException:
            lock.close()
            raise
        self._lock = lock

    def close(self) -> None:
        """Lets the folder go."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _take(self, lock: IO[str]) -> None:
        until = time.monotonic() + self._wait_s
        while not _locked(lock):
            if time.monotonic() > until:
                lock.seek(0)
                holder = lock.read(200).strip() or "another process"
                raise OptionError(
                    f"the state folder {self.path} is in use by {holder}, for {self._wait_s:g} s and more",
                    "End that server, or choose another --state-dir.",
                )
            time.sleep(TRY_S)
        try:
            lock.truncate(0)
            lock.write(f"process {os.getpid()} on {socket.gethostname()}")
            lock.flush()
        except OSError:  # a full disk: the lock holds all the same
            pass


def _locked(lock: IO[str]) -> bool:
    """Whether the lock is ours now. Raises OptionError where the file system has none."""
    if sys.platform == "win32":
        return True
    import fcntl

    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        raise OptionError(
            f"{lock.name} cannot be locked ({error.strerror})",
            "Put the state folder on a disk of this machine.",
        ) from error
    return True
