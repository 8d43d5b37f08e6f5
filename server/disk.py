"""`Disk`: whether the state folder can be written, and whether there is room in it."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ..errors import StorageError, UnavailableError

SPARE = 1024 * 1024
"""Bytes that stay free for records and snapshots, whatever is uploaded."""
PROBE = ".probe"
FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class Disk:
    """The folder that a server writes into.

    Attributes:
        problem: why it cannot be written at the moment; None when it can.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.problem: str | None = None
        self._remedy = ""

    def probe(self) -> None:
        """Writes a little, takes it away again, and notes whether that went well. Any thread."""
        path = self.folder / PROBE
        try:
            with path.open("wb") as file:
                file.write(bytes(4096))
                file.flush()
                os.fsync(file.fileno())
            self.problem = None
        except OSError as error:
            self.problem = error.strerror or type(error).__name__
            self._remedy = "make room in it" if error.errno in FULL else "have it writable again"
        finally:
            with suppress(OSError):
                path.unlink()

    def check(self) -> None:
        """Raises UnavailableError when it could not be written lately."""
        if self.problem is not None:
            raise UnavailableError(f"the state folder cannot be written ({self.problem})", self._remedy)

    def room(self, size: int) -> None:
        """Raises StorageError unless so many bytes fit."""
        free = shutil.disk_usage(self.folder).free
        if free < size + SPARE:
            raise StorageError(
                f"there are {free} bytes of room on the server's disk, and {size} were sent",
                "send it later, or delete videos that are done",
            )


@contextmanager
def stored(what: str) -> Iterator[None]:
    """Raises StorageError for what the disk refuses within; ``what`` was to be kept."""
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        why = getattr(error, "strerror", None) or str(error)
        full = getattr(error, "errno", None) in FULL or "full" in why
        remedy = "make room on the server's disk" if full else "check the server's disk"
        raise StorageError(f"{what} could not be kept ({why})", f"{remedy}, and try again") from error


def is_full(error: BaseException) -> bool:
    """Whether a full disk is behind an error, however it was wrapped."""
    seen: BaseException | None = error
    while seen is not None:
        if getattr(seen, "errno", None) in FULL:
            return True
        seen = seen.__cause__ or seen.__context__
    return False
