"""A model that is cut computes what it computes with the same units zeroed, whatever their kind."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from framestate.bundles import ModelSpec
from framestate.errors import OptionError
from framestate.models import build_model
from framestate.models.pruning.groups import Group, Kept, cut, masked
from framestate.models.pruning.registry import groups_of, pruned_spec, targeted
from framestate.plugins import eager_operators
from torch import Tensor, nn

Build = Callable[[str], nn.Module]
CASES = [
    ("classifier", "channel"),
    ("classifier", "state"),
    ("classifier", "neuron"),
    ("classifier with a rank", "channel"),
    ("classifier with a rank", "state"),
    ("classifier that attends", "head"),
    ("classifier that attends", "neuron"),
    ("interpolator", "state"),
    ("interpolator", "neuron"),
    ("interpolator, mamba1", "state"),
    ("tracker", "channel"),
    ("tracker", "head"),
    ("tracker", "state"),
    ("trajectory, mamba1", "channel"),
    ("trajectory, mamba1", "state"),
    ("trajectory, mamba1", "neuron"),
    ("trajectory, mamba2", "head"),
    ("trajectory, mamba2", "state"),
    ("vil", "head"),
    ("vil", "neuron"),
]


def spec_of(model: Any) -> ModelSpec:
    spec: ModelSpec = model.spec("small")
    return spec


def some(groups: Sequence[Group], seed: int = 1) -> Kept:
    """Keeps about half of the units of each group, drawn, as many in each of an option."""
    rng = random.Random(seed)
    counts: dict[Any, int] = {}
    kept = {}
    for group in groups:
        count = counts.setdefault(group.option, max(1, group.units // 2 - rng.randint(0, 1)))
        kept[group.name] = sorted(rng.sample(range(group.units), count))
    return kept


def answers(model: Any, spec: ModelSpec) -> list[Tensor]:
    """What the functions of a model say in turn, over one drawn input and three frames of state."""
    generator = torch.Generator().manual_seed(2)

    def inputs(function: str) -> dict[str, Tensor]:
        given = {}
        for tensor in spec.function(function).inputs:
            shape = tensor.concrete(2)
            if tensor.dtype == "int64":
                given[tensor.name] = torch.randint(0, 20, shape, generator=generator)
            else:
                given[tensor.name] = torch.rand(shape, generator=generator, dtype=torch.float64)
        return given

    if spec.task == "interpolation":
        frames = torch.rand(2, 2, 3, 64, 96, generator=generator, dtype=torch.float64)
        with torch.no_grad():
            return [model(*frames, torch.full((2, 1), 0.4, dtype=torch.float64))]
    functions, state, seen = model.functions(), {}, []
    if "init" in functions:
        state = functions["init"](inputs("init"), {})[1]
    else:
        state = {t.name: torch.zeros(t.concrete(2), dtype=torch.float64) for t in spec.state}
    step = next(name for name in functions if name != "init")
    with torch.no_grad():
        for _ in range(3):
            outputs, written = functions[step](inputs(step), state)
            state = {**state, **written}
            seen += [outputs[name] for name in sorted(outputs)]
    return seen


@pytest.mark.parametrize(("name", "kind"), CASES)
def test_cut_equals_masked_to_the_last_digits(build: Build, name: str, kind: str) -> None:
    model = build(name).double()
    spec = spec_of(model)
    groups = [group for group in groups_of(spec) if group.kind == kind]
    assert groups
    kept, weights = some(groups), model.state_dict()
    whole = answers(model, spec)

    smaller = pruned_spec(spec, kept, "smaller")
    left = build_model(smaller, eager_operators()).double()
    left.load_state_dict(cut(weights, groups, kept))
    model.load_state_dict(masked(weights, groups, kept))
    zeroed, ours = answers(model, spec), answers(left, smaller)

    assert max(float((a - b).abs().max()) for a, b in zip(zeroed, ours, strict=True)) <= 1e-12
    assert max(float((a - b).abs().max()) for a, b in zip(zeroed, whole, strict=True)) > 1e-6
    count = [sum(p.numel() for p in one.parameters()) for one in (left, model)]
    assert count[0] < count[1]
    if kind in ("head", "state") and spec.task == "tracking":
        assert smaller.state_bytes < spec.state_bytes


def test_all_at_once_and_again(build: Build) -> None:
    """What is cut can be cut once more: the groups of the smaller spec are those of the smaller model."""
    model = build("classifier").double()
    spec, weights = spec_of(model), model.state_dict()
    for seed in (1, 2):
        groups = groups_of(spec)
        kept = some(groups, seed)
        smaller = pruned_spec(spec, kept, "smaller")
        zeroed = build_model(spec, eager_operators()).double()
        zeroed.load_state_dict(masked(weights, groups, kept))
        weights = cut(weights, groups, kept)
        left = build_model(smaller, eager_operators()).double()
        left.load_state_dict(weights)
        both = zip(answers(zeroed, spec), answers(left, smaller), strict=True)
        assert max(float((a - b).abs().max()) for a, b in both) <= 1e-12
        spec = smaller
    counts = {group.name: group.units for group in groups_of(spec)}
    assert set(counts.values()) <= {1, 2, 3, 4, 6, 7, 8}  # a quarter of 16 channels, 4 states, 32 neurons


@pytest.mark.parametrize(
    "kept", [[], [1, 0], [0, 0], [0, 99], [-1, 0]], ids=["none", "falling", "twice", "beyond", "below"]
)
def test_what_cannot_be_kept_is_refused(build: Build, kept: list[int]) -> None:
    groups = groups_of(spec_of(build("classifier")))
    with pytest.raises(OptionError, match="is to keep"):
        cut({}, groups, {groups[0].name: kept})


def test_groups_of_one_option_keep_as_many(build: Build) -> None:
    groups = [g for g in groups_of(spec_of(build("trajectory, mamba1"))) if g.kind == "state"]
    with pytest.raises(OptionError, match="as many in each"):
        cut({}, groups, {groups[0].name: [0], groups[1].name: [0, 1]})


def test_rotary_positions_leave_states_whole(build: Build) -> None:
    spec = spec_of(build("trajectory, mamba1"))
    turned = ModelSpec.from_json({**spec.to_json(), "config": {**spec.config, "positions": "rotary"}})
    assert {group.kind for group in groups_of(turned)} == {"channel", "neuron"}


def test_targets(build: Build) -> None:
    groups = groups_of(spec_of(build("classifier")))
    assert {group.part for group in targeted(groups, "both")} == {"ssm", "mlp"}
    assert {group.kind for group in targeted(groups, "mlp")} == {"neuron"}
    attends = groups_of(spec_of(build("classifier that attends")))
    assert {group.part for group in targeted(attends, "both")} == {"attention", "mlp"}
    makes = groups_of(spec_of(build("interpolator")))
    assert {group.part for group in targeted(makes, "both")} == {"ssm", "mlp"}
    with pytest.raises(OptionError, match="nothing to cut of 'stem'"):
        targeted(groups, "stem")
    with pytest.raises(OptionError, match="unknown"):
        targeted(groups, "nose")
