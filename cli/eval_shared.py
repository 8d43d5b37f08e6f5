"""What the evaluations share: lists of names, names that must differ, files written, runs cut short."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from pathlib import Path
from typing import Any

from ..errors import OptionError, RunError
from .output import show


def names_in(text: str) -> list[str]:
    """The names of a list with commas, each once."""
    return list(dict.fromkeys(name for name in (part.strip() for part in text.split(",")) if name))


def check_name(name: str, others: Container[str], kind: str) -> None:
    """Raises OptionError where our model has the name of one of the others, a ``kind`` such as "tracker"."""
    if name in others:
        raise OptionError(f"The model and a {kind} of --against are both called {name}", "Rename it.")


def show_written(paths: Iterable[Path]) -> None:
    """A line for every file that was written."""
    show(*(f"wrote {path}" for path in paths))


def check_finished(name: str, parts: Mapping[str, Mapping[str, Any]], kind: str, rest: str) -> None:
    """What our own model did not finish makes a failed run, though its numbers are printed.

    Args:
        name: of our model.
        parts: its results by the name of the ``kind`` ("clips"); one with an ``error`` was not finished.
        rest: what the numbers mean then.

    Raises:
        RunError: one of them was not finished.
    """
    failed = {key: one["error"] for key, one in parts.items() if "error" in one}
    if failed:
        first = next(iter(failed))
        raise RunError(
            f"{name} did not finish {len(failed)} of {len(parts)} {kind} ({first}: {failed[first]})", rest
        )
