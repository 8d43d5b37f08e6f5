"""Sources that were added while the server ran, in the state folder, so that a restart has them again"""

from __future__ import annotations

import json
import os
from pathlib import Path

from ..errors import OptionError
from .logs import logger

FILE = "sources.json"


class KeptSources:
    """A file of addresses by name that its owner alone may read: they may hold passwords.

    Args:
        folder: where the file lies; nothing is kept without.
    """

    def __init__(self, folder: Path | None) -> None:
        self._path = None if folder is None else folder / FILE
        self._by_name: dict[str, str] = {}

    def load(self) -> dict[str, str]:
        """What was kept; of a file that is damaged, nothing, and the log says so."""
        if self._path is not None and self._path.exists():
            try:
                table = json.loads(self._path.read_text("utf-8"))
                if not isinstance(table, dict) or not all(isinstance(one, str) for one in table.values()):
                    raise ValueError("it is no table of texts")
                self._by_name = table
            except (OSError, ValueError) as error:
                logger().error("sources not restored", extra={"file": str(self._path), "error": str(error)})
        return dict(self._by_name)

    def add(self, name: str, where: str) -> None:
        """Keeps one. Raises OptionError where it cannot be written, and then nothing has changed."""
        self._write({**self._by_name, name: where})

    def remove(self, name: str) -> None:
        """Forgets one. Raises OptionError as ``add``."""
        if name in self._by_name:
            self._write({one: where for one, where in self._by_name.items() if one != name})

    def _write(self, table: dict[str, str]) -> None:
        if self._path is not None:
            part = self._path.with_suffix(".part")
            try:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                with open(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
                    json.dump(table, file)
                    file.flush()
                    os.fsync(file.fileno())
                part.replace(self._path)
            except OSError as error:
                raise OptionError(
                    f"the source cannot be kept ({error.strerror})", "make room in the state folder"
                ) from error
        self._by_name = table
