"""What can be cut of a model by its architecture, and the spec of what is left."""

from __future__ import annotations

from dataclasses import replace

import torch

from ...bundles import ModelSpec
from ...errors import OptionError
from ...plugins import eager_operators
from ..registry import build_model
from ..systems import architecture
from .groups import Group, Kept

TARGETS = ("ssm", "mlp", "both", "stem", "head", "attention", "all")


def groups_of(spec: ModelSpec) -> list[Group]:
    """Every group of the model that a spec describes. Raises OptionError where there is none known."""
    row = architecture(spec.architecture)
    groups: list[Group] = row.load("groups")(row.options(spec.config))
    return groups


def pruned_spec(spec: ModelSpec, kept: Kept, name: str) -> ModelSpec:
    """The spec of what ``cut`` leaves: smaller options and state; what comes before and after is as it was.

    Raises OptionError for what cannot be left.
    """
    row = architecture(spec.architecture)
    config = row.load("pruned")(row.options(spec.config), kept).to_dict()
    with torch.device("meta"):
        model = build_model(replace(spec, config=config), eager_operators())
    smaller: ModelSpec = model.spec(name)  # type: ignore[operator]
    return replace(smaller, preprocess=spec.preprocess)


def targeted(groups: list[Group], target: str) -> list[Group]:
    """The groups of the parts that a target means; "both" is ssm (or attention, without one) and mlp.

    Raises OptionError for a target that there is not, or that the model has no group of.
    """
    if target not in TARGETS:
        raise OptionError(f"the target {target!r} is unknown", f"choose one of {', '.join(TARGETS)}")
    mixer = "ssm" if any(group.part == "ssm" for group in groups) else "attention"
    parts = (mixer, "mlp") if target == "both" else (target,)
    found = [group for group in groups if target == "all" or group.part in parts]
    if not found:
        there = sorted({group.part for group in groups})
        raise OptionError(f"the model has nothing to cut of {target!r}", f"it has {', '.join(there)}")
    return found
