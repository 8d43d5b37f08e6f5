"""Tables in pages of the documentation, written by commands between two marks."""

from __future__ import annotations

from pathlib import Path

from ..errors import DataError


def put_between(page: Path, begin: str, end: str, text: str) -> None:
    """Puts a text between two marks of a page. Raises DataError where the page does not have both once."""
    before = page.read_text()
    if before.count(begin) != 1 or before.count(end) != 1:
        raise DataError(f"{page} has no place for the table", f"put {begin} and {end} where it belongs")
    head, rest = before.split(begin)
    page.write_text(f"{head}{begin}\n{text}\n{end}{rest.split(end)[1]}")
