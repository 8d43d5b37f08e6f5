"""Recipes of any kind: which one a file is, told by its ``task``."""

from __future__ import annotations

import tomllib
from pathlib import Path

from ..errors import DataError, OptionError
from .interpolation.recipe import InterpolationRecipe
from .interpolation.recipe import read_recipe as read_interpolation
from .tracking.recipe import TrackerRecipe
from .tracking.recipe import read_recipe as read_tracking

Plan = TrackerRecipe | InterpolationRecipe


def read_plan(path: Path) -> Plan:
    """The recipe in a TOML file: an interpolator's where ``task`` says so, else a tracker's.

    Raises DataError where it is no TOML, OptionError for a task or an option that there is not.
    """
    try:
        task = tomllib.loads(path.read_text()).get("task", "tracking")
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise DataError(
            f"recipe {path} cannot be read ({error})", "give a TOML file, as in models/recipes"
        ) from error
    if task == "interpolation":
        return read_interpolation(path)
    if task == "tracking":
        return read_tracking(path)
    raise OptionError(f"task is {task!r} in {path}", "choose tracking or interpolation")
