"""Recipes of an ARTrackMamba: read exactly, refused where they cannot be meant, trained from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from framestate.engine.tracking import TrackingOptions
from framestate.errors import DataError, OptionError
from framestate.models.artrack_mamba_v2.recipe import TrajectoryRecipe
from framestate.models.artrack_mamba_v2.sequence import SequenceConfig
from framestate.models.artrack_mamba_v2.train import train_trajectory
from framestate.models.plans import read_plan
from safetensors.torch import save_file

RECIPE = """
architecture = "artrack_mamba_v2"
name = "small"
batch = 2
workers = 0
clips = "clips"
{more}

[model]
template_size = 32
search_size = 64
dim = 16
layers = 2
mixer = "mamba2"
head_channels = 8
attention_heads = 2
bins = 40
history = 2
redraw_dim = 8
redraw_layers = 1
redraw_heads = 2

[loop]
steps = 2
warmup_steps = 1
log_every = 1
{tables}
"""


def recipe(folder: Path, more: str = "", tables: str = "") -> TrajectoryRecipe:
    path = folder / "recipe.toml"
    path.write_text(RECIPE.format(more=more, tables=tables))
    found = read_plan(path)
    assert isinstance(found, TrajectoryRecipe)
    return found


def test_a_recipe_trains_pairs_then_sequences(tmp_path: Path, write_clip: Callable[..., Path]) -> None:
    write_clip("koi")
    first = recipe(tmp_path)
    result, report = train_trajectory(first, tmp_path, tmp_path / "one")
    assert (result.steps, report["clips"]) == (2, 1)
    save_file(dict(result.model.state_dict()), tmp_path / "w.safetensors")
    second = recipe(
        tmp_path,
        f'start = "{tmp_path / "w.safetensors"}"',
        "[sequence]\nframes = 3\ngradient = 2\nmost_step = 1",
    )
    result, report = train_trajectory(second, tmp_path, tmp_path / "two")
    assert (result.steps, report["start"]) == (2, "w.safetensors")
    with pytest.raises(DataError, match="cannot be read"):
        train_trajectory(replace(second, start="nowhere"), tmp_path, tmp_path / "three")


@pytest.mark.parametrize(
    ("more", "tables", "problem"),
    [
        ("colour = 3", "", "unknown recipe option colour"),
        ("trunk_share = 2.0", "", "trunk_share is 2.0"),
        ('start = "a"\nvim = "b"', "", "start and vim"),
        ('task = "interpolation"', "", "of interpolation, there are hybrid_interpolator"),
        ("", "[sequence]\nframes = 2\ngradient = 3", "gradient 3"),
        ("", "[sequence]\npace = 2", "unknown sequence option pace"),
        ("", "[samples]\nsearch_size = 96", "search_size is 64 in model and 96"),
    ],
)
def test_a_recipe_that_cannot_be(tmp_path: Path, more: str, tables: str, problem: str) -> None:
    with pytest.raises(OptionError, match=problem):
        recipe(tmp_path, more, tables)


def test_the_shipped_recipes_are_read(checkout: Path) -> None:
    for size, dim in (("tiny", 192), ("small", 384), ("base", 768)):
        found = read_plan(checkout / "models" / "recipes" / f"artrack-mamba-{size}.toml")
        assert isinstance(found, TrajectoryRecipe)
        assert (found.name, found.model.dim, found.sequence) == (f"artrack-mamba-{size}", dim, None)
        assert TrackingOptions(**found.options).size_floor == 1.0
    found = read_plan(checkout / "models" / "recipes" / "artrack-mamba-tiny-sequence.toml")
    assert isinstance(found, TrajectoryRecipe)
    assert found.sequence == SequenceConfig(24, 4, 2)
