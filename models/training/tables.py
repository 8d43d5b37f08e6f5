"""Options out of tables: of a recipe's file, or of a bundle's manifest. None is ever dropped in silence."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

from ...errors import DataError, OptionError

Kind = TypeVar("Kind")


def read_toml(path: Path) -> tuple[str, dict[str, Any]]:
    """A recipe's text and what it holds. Raises DataError when it cannot be read or is no TOML."""
    try:
        text = path.read_text()
        return text, tomllib.loads(text)
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise DataError(
            f"recipe {path} cannot be read ({error})", "give a TOML file, as in models/recipes"
        ) from error


def take_tables(values: dict[str, Any], names: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """Takes the named tables out of a recipe; a missing one is empty. Raises OptionError for what is none."""
    tables = {name: values.pop(name, {}) for name in names}
    for name, table in tables.items():
        if not isinstance(table, dict):
            raise OptionError(f"{name} is {table!r}", f"make it a table, [{name}]")
    return tables


def build(kind: type[Kind], values: Mapping[str, Any], table: str) -> Kind:
    """A dataclass of a table's options. Raises OptionError for what does not belong there."""
    given = dict(values)
    known = {entry.name for entry in fields(kind)}  # type: ignore[arg-type]
    unknown = sorted(set(given) - known)
    if unknown:
        raise OptionError(
            f"unknown {table} option {', '.join(unknown)}", f"known options: {', '.join(sorted(known))}"
        )
    for entry in fields(kind):  # type: ignore[arg-type]
        if entry.name in given:
            given[entry.name] = as_kind(given[entry.name], entry.default, f"{table} option {entry.name}")
    try:
        return kind(**given)
    except TypeError as error:
        raise OptionError(
            f"the {table} table is incomplete ({error})", "give every option without a default"
        ) from error


def as_kind(value: Any, default: Any, what: str) -> Any:
    """The value as the kind of thing that the default is (where there is one); lists become tuples.

    Raises OptionError: a string where a number belongs would only fail hours later, or never.
    """
    if isinstance(value, list):
        value = tuple(value)
    if isinstance(default, float) and type(value) is int:
        return float(value)
    if isinstance(default, bool | int | float | str | tuple) and type(value) is not type(default):
        raise OptionError(
            f"{what} is {value!r}, a {type(value).__name__}",
            f"give a {type(default).__name__}, as {default!r} is",
        )
    return value


def check_used(given: Any, needs: Mapping[str, str], clashes: Mapping[str, str] | None = None) -> None:
    """Raises OptionError for an option that was set and does nothing.

    ``needs`` names, for an option, the one that it needs; ``clashes``, the one that replaces it.
    """
    for entry in fields(given):
        name, value = entry.name, getattr(given, entry.name)
        if value == entry.default:
            continue
        need, clash = needs.get(name), (clashes or {}).get(name)
        if need is not None and not getattr(given, need):
            raise OptionError(
                f"{name} is {value!r} and {need} is not set", f"set {need}, or leave {name} out"
            )
        if clash is not None and getattr(given, clash):
            raise OptionError(f"{name} is {value!r}, and {clash} takes its place", "leave out one of them")


def check_counts(batch: int, threads: int, workers: int) -> None:
    """Raises OptionError for counts that no run can have."""
    if batch < 1 or threads < 1 or workers < 0:
        raise OptionError(
            f"batch is {batch}, threads {threads} and workers {workers}",
            "batch and threads are at least 1, workers at least 0",
        )
