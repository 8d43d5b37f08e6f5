"""What the evaluations share: lists of names, names that must differ, files written, runs cut short."""

from __future__ import annotations

import csv
from collections.abc import Container, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..errors import OptionError, RunError
from .output import replacing, show

if TYPE_CHECKING:
    from ..vision.pixels import Image

SHEETS: Mapping[str, Literal["png", "jpeg", "webp"]] = {
    ".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg", ".webp": "webp",
}  # fmt: skip
"""Kinds of pictures that are written, by the ends of their files' names."""


def names_in(text: str) -> list[str]:
    """The names of a list with commas, each once, as a line of CSV: a name with a comma is in double quotes.

    Raises OptionError: a quote is not closed.
    """
    try:
        parts = next(csv.reader([text], skipinitialspace=True, strict=True), [])
    except csv.Error as error:
        raise OptionError(
            f"the list {text[:80]!r} cannot be read ({error})",
            'write names as CSV has them: cat,"lights, red"',
        ) from error
    return list(dict.fromkeys(name for name in (part.strip() for part in parts) if name))


def check_name(name: str, others: Container[str], kind: str) -> None:
    """Raises OptionError where our model has the name of one of the others, a ``kind`` such as "tracker"."""
    if name in others:
        raise OptionError(f"The model and a {kind} of --against are both called {name}", "Rename it.")


def write_picture(path: Path, picture: Image) -> Path:
    """Writes a picture whole or not at all, in the kind of its name, and returns the path."""
    from ..vision import encode_image

    with replacing(path) as temporary:
        temporary.write_bytes(encode_image(picture, SHEETS[path.suffix.lower()]))
    return path


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
