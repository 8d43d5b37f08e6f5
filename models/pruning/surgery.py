"""A model without the units that do not stay: ordinary, smaller, and with a note of where it comes from."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from torch import nn

from ...bundles import JSON, Bundle, ModelSpec
from ...plugins import eager_operators
from ..registry import build_model, load_weights
from .groups import Kept, cut
from .registry import groups_of, pruned_spec


def open_model(bundle: Bundle) -> nn.Module:
    """The PyTorch model of a bundle with its weights. Raises BundleError where it has none."""
    model = build_model(bundle.spec, eager_operators())
    load_weights(model, bundle.weights())
    return model


def cut_model(model: nn.Module, spec: ModelSpec, kept: Kept, name: str) -> tuple[nn.Module, ModelSpec]:
    """What is left of a model, and its spec: fewer channels, heads and states, and less state a session.

    Raises OptionError for units that the model does not have, or a shape that cannot be.
    """
    weights = cut(model.state_dict(), groups_of(spec), kept)
    smaller = pruned_spec(spec, kept, name)
    left = build_model(smaller, eager_operators())
    left.load_state_dict(weights)
    return left, smaller


def parameters_of(model: nn.Module) -> int:
    """How many numbers a model has learned."""
    return sum(parameter.numel() for parameter in model.parameters())


def counts_of(spec: ModelSpec) -> dict[str, int]:
    """How many units each group of a model has."""
    return {group.name: group.units for group in groups_of(spec)}


def note(
    before: tuple[nn.Module, ModelSpec], after: tuple[nn.Module, ModelSpec], how: Mapping[str, JSON]
) -> dict[str, JSON]:
    """For a manifest: what was pruned, how, and by how much."""
    ours, theirs = counts_of(before[1]), counts_of(after[1])
    return {
        "from": before[1].name,
        **how,
        "parameters": [parameters_of(before[0]), parameters_of(after[0])],
        "state_bytes": [one.fixed_state_bytes for one in (before[1], after[1])],
        "units": {  # the channels of a head that went, went with it
            name: [count, theirs.get(name, 0)] for name, count in ours.items() if theirs.get(name) != count
        },
    }


def start_lines(spec: ModelSpec, weights: str, leave_out: Sequence[str] = ("labels",)) -> str:
    """Lines of a recipe that trains such a model on: where it starts, and its options, as TOML."""
    options = {name: value for name, value in spec.config.items() if name not in leave_out}
    lines = [f"start = {json.dumps(weights)}", "", "[model]"]
    return "\n".join([*lines, *(f"{name} = {json.dumps(value)}" for name, value in options.items())]) + "\n"
