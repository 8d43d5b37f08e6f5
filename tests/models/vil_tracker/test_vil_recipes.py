"""Recipes of a ViL-Tracker: the plan's two phases, trained from, and refused where they cannot be meant."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from framestate.errors import DataError, OptionError
from framestate.models import dump_weights, load_weights
from framestate.models.plans import read_plan
from framestate.models.vil_tracker import VilTracker
from framestate.models.vil_tracker.recipe import VilRecipe
from framestate.models.vil_tracker.train import train_vil_tracker
from framestate.plugins import eager_operators
from safetensors.numpy import save_file

WriteClip = Callable[..., Path]
RECIPE = """
architecture = "vil_tracker"
name = "small"
batch = 2
workers = 0
clips = "clips"
[model]
size = "mini"
template_size = 32
search_size = 64
dim = 16
layers = 2
[samples]
absent = 0.0
[loop]
steps = 2
warmup_steps = 1
"""


@pytest.fixture
def recipe(tmp_path: Path) -> Callable[[str], VilRecipe]:
    def read(text: str) -> VilRecipe:
        path = tmp_path / "recipe.toml"
        path.write_text(text)
        plan = read_plan(path)
        assert isinstance(plan, VilRecipe)
        return plan

    return read


Read = Callable[[str], VilRecipe]


def test_both_phases_from_their_recipes(recipe: Read, write_clip: WriteClip, tmp_path: Path) -> None:
    write_clip()
    first, report = train_vil_tracker(recipe(RECIPE), tmp_path, tmp_path / "one")
    assert (first.steps, report["clips"]) == (2, 1)
    assert isinstance(first.model, VilTracker)
    again = VilTracker(first.model.config, eager_operators())
    load_weights(again, dump_weights(first.model))  # nothing that only training needs is left
    weights = tmp_path / "weights.safetensors"
    save_file(dump_weights(first.model), weights)
    text = f'start = "{weights}"\nfreeze_shared = true\n' + RECIPE + "[losses]\ncontrast = 0.1\n"
    text += "[curriculum]\nramp_epochs = 0\nfilm_epoch = 0\n"
    second, report = train_vil_tracker(recipe(text), tmp_path, tmp_path / "two")
    assert report["start"] == "weights.safetensors"
    before, after = dump_weights(again), dump_weights(second.model)
    shared = [name for name in before if ".shared." in name]
    assert shared
    assert all(np.allclose(after[name], before[name], atol=1e-7) for name in shared)
    assert not np.array_equal(after["patch.weight"], before["patch.weight"])


def test_a_teachers_features_are_learned_end_to_end(
    recipe: Read, write_clip: WriteClip, backbone: Path, tmp_path: Path
) -> None:
    """A backbone laid out as NanoTrack's teaches a run from its recipe; nothing of it stays in the model."""
    write_clip()
    text = f'teacher = "{backbone.name}"\n' + RECIPE + "log_every = 1\n[losses]\nteacher = 1.0\n"
    lines: list[dict[str, float]] = []
    result, report = train_vil_tracker(
        recipe(text), tmp_path, tmp_path / "run", lambda step, line: lines.append(line)
    )
    assert report["teacher"] == "backbone.onnx"
    assert all(line["teacher"] > 0 for line in lines)
    assert not any("teacher" in name for name in result.model.state_dict())


def test_the_shipped_recipes_are_the_plan(checkout: Path) -> None:
    plans = [read_plan(checkout / f"models/recipes/vil-tracker-phase{phase}.toml") for phase in (1, 2)]
    first, second = plans
    assert isinstance(first, VilRecipe)
    assert isinstance(second, VilRecipe)
    for plan, epochs in ((first, 300), (second, 100)):
        assert plan.loop.steps * plan.batch == epochs * plan.curriculum.epoch_samples
        assert (plan.model.layers, plan.model.dim, plan.model.block) == (24, 384, "gelu")
    assert (first.curriculum.ramp_epochs, first.curriculum.film_epoch) == (50, 30)
    assert not first.freeze_shared
    assert first.losses.contrast == 0
    assert second.freeze_shared
    assert second.losses.contrast > 0
    assert second.curriculum.stage(0).film == 1


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ("colour = 1\n", "unknown recipe option colour"),
        ('size = "large"\n', "unknown recipe option size"),
        ('start = "a"\npublished = "b"\n', "names start and published"),
        ("carry_share = 1.5\n", "carry_share is 1.5"),
    ],
)
def test_recipes_that_cannot_be_meant(recipe: Read, change: str, problem: str) -> None:
    with pytest.raises(OptionError, match=problem):
        recipe(change + RECIPE)


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('size = "mini"', 'size = "large"', "size is 'large'"),
        ("absent = 0.0", "search_size = 128", "search_size is 64 in model and 128 in samples"),
        ('clips = "clips"\n', "", "names no data"),
        ("warmup_steps = 1", "[losses]\ngiou = -1.0", "weight of giou is -1"),
        ("warmup_steps = 1", "[curriculum]\ngap_share = 2.0", "gap_share is 2.0"),
    ],
)
def test_tables_that_cannot_be_meant(recipe: Read, old: str, new: str, problem: str) -> None:
    with pytest.raises(OptionError, match=problem):
        recipe(RECIPE.replace(old, new))


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ('start = "nowhere.safetensors"\n', "weights nowhere.safetensors cannot be read"),
        ('teacher = "nowhere.onnx"\n', "teacher .*nowhere.onnx does not exist"),
        ('published = "nowhere.safetensors"\n', "published weights are for 'silu'|cannot be read"),
    ],
)
def test_files_that_are_not_there(
    recipe: Read, write_clip: WriteClip, tmp_path: Path, line: str, problem: str
) -> None:
    write_clip()
    with pytest.raises(DataError, match=problem):
        train_vil_tracker(recipe(line + RECIPE), tmp_path, tmp_path / "run")
