"""Recipes of any kind: which one a file is, told by its ``task``."""

from __future__ import annotations

from pathlib import Path

from ..errors import OptionError
from .interpolation.recipe import InterpolationRecipe
from .interpolation.recipe import read_recipe as read_interpolation
from .tracking.recipe import TrackerRecipe
from .tracking.recipe import read_recipe as read_tracking
from .training.tables import read_toml

Plan = TrackerRecipe | InterpolationRecipe


def read_plan(path: Path) -> Plan:
    """The recipe in a TOML file: an interpolator's where ``task`` says so, else a tracker's.

    Raises DataError where it is no TOML, OptionError for a task or an option that there is not.
    """
    task = read_toml(path)[1].get("task", "tracking")
    if task == "interpolation":
        return read_interpolation(path)
    if task == "tracking":
        return read_tracking(path)
    raise OptionError(f"task is {task!r} in {path}", "choose tracking or interpolation")
