"""The table of systems: whole, true, and read without PyTorch."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path

import pytest
import torch
from framestate.bundles import load_bundle
from framestate.errors import OptionError
from framestate.export.flops import count_flops
from framestate.models.plans import read_plan
from framestate.models.systems import ARCHITECTURES, SYSTEMS, Architecture, System, architecture, load, system
from framestate.plugins import eager_operators

COLUMNS = [column.name for column in fields(Architecture) if column.name not in ("name", "task", "frame")]
NAMES = {"argvalues": SYSTEMS, "ids": [one.name for one in SYSTEMS]}


def test_the_table_is_read_without_pytorch() -> None:
    code = "import sys, framestate.models.systems, framestate.models.plans; print('torch' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "False\n"


@pytest.mark.parametrize("row", ARCHITECTURES, ids=[row.name for row in ARCHITECTURES])
def test_every_column_names_something(row: Architecture) -> None:
    for column in COLUMNS:
        place = getattr(row, column)
        if place:
            assert callable(load(place))
        else:
            with pytest.raises(OptionError, match=f"{row.name} .*choose a model of"):
                row.load(column)  # type: ignore[arg-type]


@pytest.mark.parametrize("one", **NAMES)  # type: ignore[arg-type]
def test_every_system_is_what_its_row_says(one: System) -> None:
    with torch.device("meta"):
        model = one.build(eager_operators())
    spec = one.spec(model)
    assert (spec.name, spec.architecture, spec.task) == (one.name, one.architecture, one.row.task)
    assert set(one.row.frame) <= set(spec.functions)
    assert sum(parameter.numel() for parameter in model.parameters()) == one.parameters
    assert one.sized(spec).is_sized


def test_names_are_given_once_and_shipped_ones_are_the_bundles() -> None:
    assert len({one.name for one in SYSTEMS}) == len(SYSTEMS)
    assert len({row.name for row in ARCHITECTURES}) == len(ARCHITECTURES)
    for one in SYSTEMS:
        if one.ships:
            assert one.options() == dict(load_bundle(one.name).spec.config)


def test_a_vil_tracker_within_the_plans_operations() -> None:
    one = system("vil-tracker-224")
    with torch.device("meta"):
        spec = one.spec(one.build(eager_operators()))
    operations, _ = count_flops(one.build, spec, one.row.frame)
    assert operations <= 20e9


def test_recipes_find_their_row(tmp_path: Path, checkout: Path) -> None:
    found = {read_plan(path).architecture for path in (checkout / "models" / "recipes").glob("*.toml")}
    assert found == {row.name for row in ARCHITECTURES if row.recipe}
    path = tmp_path / "recipe.toml"
    for text, problem in (
        ("task = 'driving'", "task is 'driving'.*choose one of tracking, interpolation, classification"),
        ("architecture = 'mamba_classifier'", "architecture is 'mamba_classifier'.*of tracking, there are"),
        ("task = 'interpolation'\narchitecture = 'vil_tracker'", "there are hybrid_interpolator$"),
    ):
        path.write_text(f"name = 'x'\n{text}\n[loop]\nsteps = 1\n")
        with pytest.raises(OptionError, match=problem):
            read_plan(path)


def test_what_there_is_not() -> None:
    with pytest.raises(OptionError, match="no system mamba-huge"):
        system("mamba-huge")
    with pytest.raises(OptionError, match="architecture 'perceptron' is unknown"):
        architecture("perceptron")
    with pytest.raises(OptionError, match="unknown model option wide"):
        replace(system("interp-base"), changes={"wide": 3}).build(eager_operators())
