"""Recipes of any kind: which one a file is, told by its ``task`` and ``architecture``."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

from ..errors import OptionError
from .systems import ARCHITECTURES
from .training.config import LoopConfig
from .training.tables import read_toml


class Plan(Protocol):
    """What every recipe says."""

    @property
    def name(self) -> str:
        """Of what is trained."""

    @property
    def architecture(self) -> str:
        """Of the model, by its row in ``systems``."""

    @property
    def model(self) -> Any:
        """The model's options."""

    @property
    def loop(self) -> LoopConfig:
        """How to optimise."""

    @property
    def batch(self) -> int:
        """Samples of a step."""

    @property
    def seed(self) -> int:
        """Of all that is random."""

    @property
    def threads(self) -> int:
        """Of PyTorch on a CPU."""

    @property
    def text(self) -> str:
        """The file."""


def read_plan(path: Path, changes: Sequence[str] = ()) -> Plan:
    """The recipe in a TOML file, of what its ``task`` ("tracking" without one) and ``architecture`` say.

    A task's first architecture need not be named. ``changes`` are ``key=value``, of keys such as ``seed`` or
    ``loop.steps`` and values as in TOML; the recipe's text names them at its end.

    Raises:
        DataError: it cannot be read, or is no TOML.
        OptionError: a task, an architecture or an option that there is not.
    """
    text, values = read_toml(path)
    for change in changes:
        change_value(values, change)
        text += f"# changed: {change}\n"
    task = values.pop("task", "tracking")
    rows = {row.name: row for row in ARCHITECTURES if row.recipe and row.task == task}
    if not rows:
        tasks = dict.fromkeys(row.task for row in ARCHITECTURES)
        raise OptionError(f"task is {task!r} in {path}", f"choose one of {', '.join(tasks)}")
    name = values.setdefault("architecture", next(iter(rows)))
    if name not in rows:
        raise OptionError(f"architecture is {name!r} in {path}", f"of {task}, there are {', '.join(rows)}")
    plan: Plan = rows[name].load("recipe")(values, text)
    return plan


def change_value(values: dict[str, Any], change: str) -> None:
    """Sets one of a recipe's values by ``key=value``. Raises OptionError where it is no such thing."""
    key, found, text = change.partition("=")
    *tables, name = key.strip().split(".")
    if not found or not name:
        raise OptionError(f"{change!r} is no change", "give key=value, such as loop.steps=100")
    for table in tables:
        values = values.setdefault(table, {})
        if not isinstance(values, dict):
            raise OptionError(f"{change!r}: {table} is no table of the recipe", "give one, such as loop")
    try:
        values[name] = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        values[name] = text.strip()  # a word without quotation marks
