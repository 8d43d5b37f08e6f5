"""Recipes of any kind: which one a file is, told by its ``task`` and ``architecture``."""

from __future__ import annotations

from pathlib import Path

from ..errors import OptionError
from .artrack_mamba_v2 import ARCHITECTURE as ARTRACK_MAMBA_V2
from .artrack_mamba_v2.recipe import TrajectoryRecipe
from .artrack_mamba_v2.recipe import read_recipe as read_trajectory
from .classification.recipe import ClassifierRecipe
from .classification.recipe import read_recipe as read_classification
from .interpolation.recipe import InterpolationRecipe
from .interpolation.recipe import read_recipe as read_interpolation
from .tracking.recipe import TrackerRecipe
from .tracking.recipe import read_recipe as read_tracking
from .training.tables import read_toml
from .vil_tracker import ARCHITECTURE as VIL_TRACKER
from .vil_tracker.recipe import VilRecipe
from .vil_tracker.recipe import read_recipe as read_vil

Plan = TrackerRecipe | TrajectoryRecipe | VilRecipe | InterpolationRecipe | ClassifierRecipe


def read_plan(path: Path) -> Plan:
    """The recipe in a TOML file: an interpolator's or a classifier's by ``task``, else a tracker's.

    Which tracker's, ``architecture`` says. Raises DataError where it is no TOML, OptionError for a task, an
    architecture or an option that there is not.
    """
    values = read_toml(path)[1]
    task, architecture = values.get("task", "tracking"), values.get("architecture", "artrack_mamba")
    if task == "interpolation":
        return read_interpolation(path)
    if task == "classification":
        return read_classification(path)
    if task != "tracking":
        raise OptionError(f"task is {task!r} in {path}", "choose tracking, interpolation or classification")
    if architecture == ARTRACK_MAMBA_V2:
        return read_trajectory(path)
    if architecture == VIL_TRACKER:
        return read_vil(path)
    return read_tracking(path)
