"""examples/compare_classifiers.py: pairs of right and wrong, and runs that are read as they were left."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from framestate.errors import DataError, OptionError
from framestate.models.classification import ClassifierConfig, MambaClassifier
from framestate.models.classification.cifar import read_cifar
from framestate.models.classification.task import evaluate
from framestate.plugins import eager_operators
from safetensors.torch import save_file

RECIPE = """
name = "small"
task = "classification"
[model]
size = 32
dim = 8
layers = 1
states = 4
[augment]
[groups]
[loop]
steps = 1
"""


@pytest.mark.parametrize(
    ("b", "c", "p"), [(0, 0, 1.0), (5, 5, 1.0), (0, 5, 2 / 32), (1, 7, 18 / 256), (7, 1, 18 / 256)]
)
def test_the_chance_of_tosses_is_counted(example: ModuleType, b: int, c: int, p: float) -> None:
    assert example.mcnemar(b, c) == pytest.approx(p)


def test_a_large_test_agrees_with_the_normal_distribution(example: ModuleType) -> None:
    """(|b - c| - 1)² / (b + c) is χ² of one degree of freedom: at 3.84, p is 0.05."""
    assert example.mcnemar(1000, 1090) == pytest.approx(0.0515, abs=0.002)


def test_a_pair_counts_what_one_alone_gets_right(example: ModuleType) -> None:
    first, second = np.array([1, 1, 0, 0, 0], bool), np.array([1, 0, 1, 1, 0], bool)
    pair = example.compare(first, second)
    assert (pair.only_first, pair.only_second, pair.p) == (1, 2, 1.0)
    assert pair.lead == pytest.approx(0.2)
    assert pair.margin == pytest.approx(1.96 * np.sqrt(3 - 1 / 5) / 5)
    assert example.compare(first, first).margin == 0
    with pytest.raises(OptionError, match="5 and 4 pictures"):
        example.compare(first, second[:4])


def write_data(folder: Path) -> Path:
    """CIFAR-10's binary layout with 20 pictures a file."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for name in (*(f"data_batch_{k}.bin" for k in range(1, 6)), "test_batch.bin"):
        rows = rng.integers(0, 256, (20, 3073), dtype=np.uint8)
        rows[:, 0] %= 10
        (folder / name).write_bytes(rows.tobytes())
    (folder / "batches.meta.txt").write_text("\n".join(f"class{k}" for k in range(10)) + "\n")
    return folder


def write_run(folder: Path, names: tuple[str, ...], *, averaged: bool) -> MambaClassifier:
    """A checkpoint of random weights, and of others as their average."""
    folder.mkdir()
    (folder / "recipe.toml").write_text(RECIPE)
    config = ClassifierConfig(size=32, dim=8, layers=1, states=4)
    models = [MambaClassifier(replace(config, labels=names), eager_operators()).eval() for _ in range(2)]
    kept = {"model.": models[0], "average.module.": models[averaged]}
    tensors = {
        prefix + name: value.clone()
        for prefix, model in kept.items()
        for name, value in model.state_dict().items()
    }
    save_file({**tensors, "step": torch.tensor(1)}, folder / "checkpoint.safetensors")
    return models[0]


def test_runs_are_tried_with_and_without_their_average(
    example: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_data(tmp_path / "data")
    test = read_cifar(data)[1]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = write_run(tmp_path / "a", test.names, averaged=True)
        write_run(tmp_path / "b", test.names, averaged=False)
    runs = [f"{name.upper()}={tmp_path / name / 'recipe.toml'}:{tmp_path / name}" for name in "ab"]
    example.main([str(data), *runs, "--json", str(tmp_path / "out.json")])
    told = json.loads((tmp_path / "out.json").read_text())
    expected = evaluate(model, test, views=True)
    assert told["pictures"] == 20
    assert told["accuracy"]["A, last, one view"] == pytest.approx(expected["accuracy"])
    assert told["accuracy"]["A, last, five views"] == pytest.approx(expected["accuracy_tta"])
    assert len(told["accuracy"]) == 2 * 3
    assert set(told["pairs"]) == {
        f"A {kind} | B last, {views} view{'s' * (views == 'five')}"
        for kind in ("last", "average")
        for views in ("one", "five")
    }
    assert "p = " in capsys.readouterr().out


def test_what_is_no_run(example: ModuleType, checkout: Path, tmp_path: Path) -> None:
    for text in ("V1", "V1=recipe", "=recipe:folder", "V1=:folder"):
        with pytest.raises(OptionError, match="is no run"):
            example.parse_run(text)
    recipes = checkout / "models" / "recipes"
    with pytest.raises(OptionError, match="trains no classifier"):
        example.open_runs(recipes / "tracker-nano.toml", tmp_path, ())
    with pytest.raises(DataError, match="holds no checkpoint"):
        example.open_runs(recipes / "mamba-nano-cifar10.toml", tmp_path, ())
