"""What pruning leaves is a model like any other: it trains on by a recipe, with less of everything."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from framestate.errors import DataError, OptionError
from framestate.models import dump_weights
from framestate.models.classification import MambaClassifier
from framestate.models.classification.recipe import ClassifierRecipe
from framestate.models.classification.train import train_classifier
from framestate.models.plans import read_plan
from framestate.models.pruning.groups import Kept
from framestate.models.pruning.registry import groups_of
from framestate.models.pruning.surgery import cut_model, note, start_lines
from safetensors.numpy import save_file
from torch import nn

Build = Callable[[str], nn.Module]


def half(model: nn.Module) -> Kept:
    groups = groups_of(model.spec("small"))  # type: ignore[operator]
    return {group.name: range(max(1, group.units // 2)) for group in groups}


def pruned_recipe(folder: Path, weights: str, model: MambaClassifier) -> ClassifierRecipe:
    """A recipe that starts from weights in ``folder`` with the options of a pruned model."""
    lines = start_lines(model.spec("small"), weights)
    text = 'name = "on"\ntask = "classification"\nfolder = "set"\nbatch = 2\nworkers = 0\nheld_out = 0\n'
    text += lines + "\n[loop]\nsteps = 2\nlog_every = 1\nwarmup_steps = 1\n"
    (folder / "on.toml").write_text(text)
    found = read_plan(folder / "on.toml")
    assert isinstance(found, ClassifierRecipe)
    return found


def test_a_pruned_classifier_trains_on_by_a_recipe(build: Build, tiny_cifar: Path) -> None:
    model = build("classifier for training")
    left, spec = cut_model(model, model.spec("small"), half(model), "less")  # type: ignore[operator]
    assert isinstance(left, MambaClassifier)
    save_file(dump_weights(left), tiny_cifar / "left.safetensors")
    recipe = pruned_recipe(tiny_cifar, str(tiny_cifar / "left.safetensors"), left)
    assert recipe.model.kept_channels == (8, 8)
    result, report = train_classifier(recipe, tiny_cifar, tiny_cifar / "run")
    assert result.steps == 2
    assert report["start"] == "left.safetensors"
    trained, before = result.model.state_dict(), left.state_dict()
    assert trained.keys() == before.keys()
    changes = [float((trained[name] - value).abs().max()) for name, value in before.items()]
    assert 0 < max(changes) < 0.05  # two steps from what pruning left, not from drawn weights
    assert spec.config["kept_states"] == [2, 2]


def test_a_start_that_is_none_is_refused(build: Build, tiny_cifar: Path) -> None:
    model = build("classifier for training")
    assert isinstance(model, MambaClassifier)
    (tiny_cifar / "broken.safetensors").write_bytes(b"no")
    for name in ("none", "broken"):
        recipe = pruned_recipe(tiny_cifar, str(tiny_cifar / f"{name}.safetensors"), model)
        with pytest.raises(DataError, match="cannot be read"):
            train_classifier(recipe, tiny_cifar, tiny_cifar / "run")


@pytest.mark.parametrize(
    "name",
    ["classifier", "classifier that attends", "interpolator", "interpolator, mamba1", "tracker", "vil"],
)
def test_the_note_says_what_went(build: Build, name: str) -> None:
    model = build(name)
    spec = model.spec("small")  # type: ignore[operator]
    left, smaller = cut_model(model, spec, half(model), "less")
    said = note((model, spec), (left, smaller), {"method": "magnitude"})
    parameters, state, units = said["parameters"], said["state_bytes"], said["units"]
    assert isinstance(parameters, list)
    assert isinstance(state, list)
    assert isinstance(units, dict)
    assert parameters[1] < parameters[0]
    assert ((state[1] or 0) < (state[0] or 0)) == (spec.task == "tracking")
    assert all(after < before for before, after in units.values())
    assert json.loads(json.dumps(said)) == said


def test_what_is_left_answers_and_learns(build: Build) -> None:
    model = build("classifier")
    left, _ = cut_model(model, model.spec("small"), half(model), "less")  # type: ignore[operator]
    logits = left.train()(torch.rand(2, 3, 16, 16))
    logits.square().sum().backward()
    assert all(parameter.grad is not None for parameter in left.parameters())


def test_options_of_what_is_left_are_checked(build: Build) -> None:
    model = build("classifier")
    assert isinstance(model, MambaClassifier)
    for options in ({"kept_channels": [8]}, {"kept_states": [0, 4]}, {"kept_neurons": [8, 99]}):
        with pytest.raises(OptionError, match="give a count from 1 to"):
            type(model.config).from_dict({**model.config.to_dict(), **options})


ALL = (
    "classifier",
    "classifier that attends",
    "interpolator",
    "interpolator, mamba1",
    "tracker",
    "tracker with a head as wide",
    "trajectory, mamba1",
    "trajectory, mamba2",
    "vil",
)


@pytest.mark.parametrize("name", ALL)
def test_what_is_not_cut_stays_as_it_is(build: Build, name: str) -> None:
    model = build(name)
    spec = model.spec("small")  # type: ignore[operator]
    left, _ = cut_model(model, spec, {}, "small")
    assert left.state_dict().keys() == model.state_dict().keys()
    assert all(torch.equal(value, left.state_dict()[key]) for key, value in model.state_dict().items())


@pytest.mark.parametrize("name", ALL)
def test_every_model_is_cut_by_half(build: Build, name: str) -> None:
    model = build(name)
    spec = model.spec("small")  # type: ignore[operator]
    left, smaller = cut_model(model, spec, half(model), "less")
    assert sum(p.numel() for p in left.parameters()) < sum(p.numel() for p in model.parameters())
    assert left.state_dict().keys() == model.state_dict().keys()
    assert not spec.is_sized or smaller.state_bytes <= spec.state_bytes
