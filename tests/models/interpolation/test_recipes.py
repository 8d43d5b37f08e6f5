"""Recipes of interpolators: those that come along, and those with a mistake."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from framestate.errors import DataError, OptionError
from framestate.models.interpolation import HybridInterpolator
from framestate.models.interpolation.recipe import InterpolationRecipe
from framestate.models.interpolation.train import grown, thinned
from framestate.models.plans import read_plan
from framestate.models.registry import load_weights
from framestate.models.tracking.recipe import TrackerRecipe
from framestate.plugins import eager_operators

from .tiny_recipe import recipe

RECIPES = Path(__file__).parents[3] / "models" / "recipes"


@pytest.mark.parametrize(
    ("table", "line", "problem"),
    [
        ("losses", "perceptual = 1.0", r"perceptual is 1.0 and does nothing.*give features"),
        ("", 'features = "vgg.safetensors"', "features is 'vgg.safetensors', and perceptual 0"),
        ("losses", "teacher = 0.0", "teacher_steps is 30 and teacher is not set"),
        ("samples", "before = true", "before is True and does nothing.*carries"),
        ("samples", "after_dropped = 0.5", "after_dropped is 0.5 and does nothing.*bend"),
        ("samples", "start = true", "samples say start or bend"),
        ("", 'part = "rest"\npart_samples = 9', "part is 'rest' without what it needs"),
        ("", 'part = "refine"', "part is 'refine' and part_samples is 0"),
        ("", 'part = "encoder"\npart_samples = 9', "part is 'encoder'.*rest, refine"),
        ("", "ratio = [2, 1]", r"ratio is \(2, 1\) and sets is not set"),
        ("", 'sets = ["vimeo:x"]', "videos is .*and sets takes its place"),
    ],
)
def test_an_option_that_does_nothing_is_refused(tmp_path: Path, table: str, line: str, problem: str) -> None:
    with pytest.raises(OptionError, match=problem):
        recipe(tmp_path, **{table: line})


@pytest.mark.parametrize("path", sorted(RECIPES.glob("interp-*.toml")), ids=lambda path: path.stem)
def test_the_recipes_that_come_along(path: Path) -> None:
    plan = read_plan(path)
    assert isinstance(plan, InterpolationRecipe)
    parts = ("shallow", "own-flow", "deep", "straight", "bent", "rested", "edges")
    assert plan.name in (
        "interp-nano",
        *(f"interp-nano-{part}" for part in parts),
        "interp-small",
        "interp-base",
        "interp-modes",
    )


@pytest.mark.parametrize(
    ("start", "end"),
    [
        ("shallow", "own-flow"),
        ("own-flow", "deep"),
        ("deep", "straight"),
        ("straight", "bent"),
        ("bent", "rested"),
        ("rested", ""),
    ],
)
def test_each_recipe_goes_on_from_the_one_before(start: str, end: str) -> None:
    before, after = (
        read_plan(RECIPES / f"interp-nano{f'-{name}' if name else ''}.toml") for name in (start, end)
    )
    assert isinstance(before, InterpolationRecipe)
    assert isinstance(after, InterpolationRecipe)
    old, new = (HybridInterpolator(plan.model, eager_operators()) for plan in (before, after))
    weights = {name: tensor.numpy() for name, tensor in old.state_dict().items()}
    load_weights(new, grown(thinned(weights, after.without), new))


def test_a_trackers_recipe_is_none_of_these() -> None:
    assert isinstance(read_plan(RECIPES / "tracker-nano.toml"), TrackerRecipe)


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"model": 'size = "huge"'}, OptionError, "size is 'huge'"),
        ({"model": "layers = 3"}, OptionError, "unknown model option layers"),
        ({"loop": "speed = 3"}, OptionError, "unknown loop option speed"),
        ({"losses": 'teacher = "x"'}, OptionError, "losses option teacher"),
        ({"": "surprise = 1"}, OptionError, "unknown recipe option surprise"),
        ({"": "threads = 0"}, OptionError, "threads 0"),
        ({"": 'without = ["down"]'}, OptionError, "start is not set"),
        ({"": "x ="}, DataError, "cannot be read"),
    ],
)
def test_recipes_with_a_mistake(tmp_path: Path, changes: dict[str, Any], error: type, said: str) -> None:
    with pytest.raises(error, match=said):
        recipe(tmp_path, **changes)


def test_patches_are_learned_at_full_size(tmp_path: Path) -> None:
    plan = recipe(tmp_path)
    model = dataclasses.replace(plan.model, refine="patch")
    with pytest.raises(OptionError, match="half_steps is 2"):
        dataclasses.replace(plan, model=model)
