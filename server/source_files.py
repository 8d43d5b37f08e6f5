"""Live sources as they are given: by options, by the environment, and in a file"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from ..errors import OptionError
from .settings import Settings


def given_sources(settings: Settings) -> tuple[str, ...]:
    """Every ``name=address`` of the settings and of their file. Raises OptionError."""
    return settings.sources + (() if settings.source_file is None else read_sources(settings.source_file))


def read_sources(path: Path) -> tuple[str, ...]:
    """The lines of a file; empty ones and those that start with # are passed over. Raises OptionError."""
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise OptionError(f"the source file {path} cannot be read ({error})", "Check its name.") from error
    return tuple(line.strip() for line in lines if line.strip() and not line.strip().startswith("#"))


class SourceFile:
    """A file of sources that is read again, and what is done with what changed.

    Args:
        replace: called with the lines before and after; where it raises OptionError, it has changed nothing.
    """

    def __init__(self, path: Path, replace: Callable[[Sequence[str], Sequence[str]], None]) -> None:
        self._path, self._replace = path, replace
        self._lines = read_sources(path)

    def __call__(self) -> None:
        """Reads it again. Raises OptionError."""
        lines = read_sources(self._path)
        self._replace(self._lines, lines)
        self._lines = lines
