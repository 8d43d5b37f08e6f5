"""Recipes of any kind: which one a file is, told by its ``task`` and ``architecture``."""

from __future__ import annotations

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


def read_plan(path: Path) -> Plan:
    """The recipe in a TOML file, of what its ``task`` ("tracking" without one) and ``architecture`` say.

    A task's first architecture need not be named. Raises DataError where it is no TOML, OptionError for a
    task, an architecture or an option that there is not.
    """
    text, values = read_toml(path)
    task = values.pop("task", "tracking")
    rows = {row.name: row for row in ARCHITECTURES if row.task == task}
    if not rows:
        tasks = dict.fromkeys(row.task for row in ARCHITECTURES)
        raise OptionError(f"task is {task!r} in {path}", f"choose one of {', '.join(tasks)}")
    name = values.setdefault("architecture", next(iter(rows)))
    if name not in rows:
        raise OptionError(f"architecture is {name!r} in {path}", f"of {task}, there are {', '.join(rows)}")
    plan: Plan = rows[name].load("recipe")(values, text)
    return plan
