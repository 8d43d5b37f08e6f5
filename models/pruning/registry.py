"""What can be cut of a model by its architecture, and the spec of what is left."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch

from ...bundles import ModelSpec
from ...errors import OptionError
from ...plugins import eager_operators
from ..artrack_mamba import ArtrackMambaConfig
from ..artrack_mamba_v2 import ARCHITECTURE as ARTRACK_MAMBA_V2
from ..artrack_mamba_v2 import ArtrackMambaV2Config
from ..classification import ARCHITECTURE as MAMBA_CLASSIFIER
from ..classification import ClassifierConfig
from ..registry import build_model
from ..vil_tracker import ARCHITECTURE as VIL_TRACKER
from ..vil_tracker import VilTrackerConfig
from .artrack_mamba import pruned_config, tracker_groups
from .artrack_mamba_v2 import pruned_trajectory, trajectory_groups
from .classifier import classifier_groups, pruned_classifier
from .groups import Group, Kept
from .vil_tracker import pruned_vil, vil_groups

TARGETS = ("ssm", "mlp", "both", "stem", "head", "attention", "all")


@dataclass(frozen=True)
class Family:
    """How models of one architecture are cut: options, groups, and the options of what is left."""

    config: Any
    groups: Callable[[Any], list[Group]]
    pruned: Callable[[Any, Kept], Any]


FAMILIES: dict[str, Family] = {
    "artrack_mamba": Family(ArtrackMambaConfig, tracker_groups, pruned_config),
    ARTRACK_MAMBA_V2: Family(ArtrackMambaV2Config, trajectory_groups, pruned_trajectory),
    VIL_TRACKER: Family(VilTrackerConfig, vil_groups, pruned_vil),
    MAMBA_CLASSIFIER: Family(ClassifierConfig, classifier_groups, pruned_classifier),
}


def family_of(spec: ModelSpec) -> Family:
    """Raises OptionError for an architecture that nothing is known to go together in."""
    family = FAMILIES.get(spec.architecture)
    if family is None:
        raise OptionError(
            f"model {spec.name!r} is of architecture {spec.architecture!r}, which cannot be pruned",
            f"these can: {', '.join(FAMILIES)}",
        )
    return family


def groups_of(spec: ModelSpec) -> list[Group]:
    """Every group of the model that a spec describes. Raises OptionError where there is none known."""
    family = family_of(spec)
    return family.groups(family.config.from_dict(dict(spec.config)))


def pruned_spec(spec: ModelSpec, kept: Kept, name: str) -> ModelSpec:
    """The spec of what ``cut`` leaves: smaller options and state; what comes before and after is as it was.

    Raises OptionError for what cannot be left.
    """
    family = family_of(spec)
    config = family.pruned(family.config.from_dict(dict(spec.config)), kept).to_dict()
    with torch.device("meta"):
        model = build_model(replace(spec, config=config), eager_operators())
    smaller: ModelSpec = model.spec(name)  # type: ignore[operator]
    return replace(smaller, preprocess=spec.preprocess)


def targeted(groups: list[Group], target: str) -> list[Group]:
    """The groups of the parts that a target means; "both" is ssm and mlp.

    Raises OptionError for a target that there is not, or that the model has no group of.
    """
    if target not in TARGETS:
        raise OptionError(f"the target {target!r} is unknown", f"choose one of {', '.join(TARGETS)}")
    parts = ("ssm", "mlp") if target == "both" else (target,)
    found = [group for group in groups if target == "all" or group.part in parts]
    if not found:
        there = sorted({group.part for group in groups})
        raise OptionError(f"the model has nothing to cut of {target!r}", f"it has {', '.join(there)}")
    return found
