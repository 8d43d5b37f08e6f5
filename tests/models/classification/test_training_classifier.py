"""Training a classifier: it learns, goes on to the bit after a stop, and refuses what it does not know."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from framestate.errors import OptionError
from framestate.models.classification import MambaClassifier
from framestate.models.classification.augment import AugmentConfig
from framestate.models.classification.cifar import Pictures, read_cifar
from framestate.models.classification.config import ClassifierConfig
from framestate.models.classification.groups import GroupConfig
from framestate.models.classification.groups import parameter_groups as groups_of
from framestate.models.classification.recipe import ClassifierRecipe
from framestate.models.classification.task import ClassifierTask, evaluate
from framestate.models.classification.train import train_classifier
from framestate.models.plans import read_plan
from framestate.models.training.config import LoopConfig
from framestate.models.training.mode import Mode
from framestate.plugins import eager_operators
from torch import Tensor

WriteSet = Callable[[Path, str], Path]
MODEL = ClassifierConfig(dim=8, layers=2, states=2, expand=1, drop_path=0.3)


def recipe(**loop: Any) -> ClassifierRecipe:
    options = {"learning_rate": 3e-3, "warmup_steps": 2, "log_every": 1, "ema_ramp": True, **loop}
    return ClassifierRecipe(
        "micro",
        MODEL,
        AugmentConfig(),
        GroupConfig(),
        LoopConfig(**options),
        folder="set",
        batch=4,
        workers=0,
        held_out=0,
    )


def weights(model: torch.nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


class Killed(Exception):
    """What ends a run in the middle."""


@pytest.mark.parametrize("stop", [1, 4, 7])  # before a checkpoint, at one, after one
def test_a_run_killed_anywhere_goes_on_to_the_bit(
    tmp_path: Path, write_set: WriteSet, monkeypatch: pytest.MonkeyPatch, stop: int
) -> None:
    """With all that is random: order, augmentation, mixing, dropped branches; and in mixed precision."""
    write_set(tmp_path / "set", "binary10")
    plan = recipe(steps=9, save_every=2, amp=True)
    whole, _ = train_classifier(plan, tmp_path, tmp_path / "whole")
    plain = ClassifierTask.batches

    def cut_short(task: ClassifierTask, start: int) -> Iterator[dict[str, Tensor]]:
        yield from islice(plain(task, start), stop - start)
        raise Killed

    monkeypatch.setattr(ClassifierTask, "batches", cut_short)
    with pytest.raises(Killed):
        train_classifier(plan, tmp_path, tmp_path / "killed")
    monkeypatch.setattr(ClassifierTask, "batches", plain)
    resumed, _ = train_classifier(plan, tmp_path, tmp_path / "killed")
    ours, theirs = weights(whole.model), weights(resumed.model)
    for name, value in ours.items():
        assert torch.equal(value, theirs[name]), name
    assert resumed.metrics == whole.metrics


def test_what_is_held_out_is_measured_and_told(tmp_path: Path, write_set: WriteSet) -> None:
    """The final measure is of the pictures held out, not of all, with and without further views."""
    write_set(tmp_path / "set", "binary10")
    for views in (False, True):
        lines: list[dict[str, float]] = []
        plan = replace(recipe(steps=1), held_out=1, tta=views)

        def tell(step: int, line: dict[str, float], lines: list[dict[str, float]] = lines) -> None:
            lines.append(line)

        result, report = train_classifier(plan, tmp_path, tmp_path / f"run{views}", tell)
        assert report["test"] == 1
        assert set(result.metrics.values()) <= {0.0, 1.0}
        assert [line["measured"] for line in lines if "measured" in line] == [1.0] * (1 + views)


def test_epochs_are_of_the_pictures(tmp_path: Path, write_set: WriteSet) -> None:
    write_set(tmp_path / "set", "binary10")
    plan = recipe(steps=99)
    pictures, _ = read_cifar(tmp_path / "set")
    result, _ = train_classifier(plan, tmp_path, tmp_path / "run", mode=Mode(epochs=2))
    assert result.steps == -(-2 * len(pictures) // plan.batch)


def colours(count: int, seed: int) -> Pictures:
    """Pictures whose label is their colour, under noise."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    images = rng.integers(0, 120, (count, 32, 32, 3))
    images[np.arange(count), :, :, labels] += 90
    return Pictures(images.astype(np.uint8), labels, ("red", "green", "blue"))


def test_it_learns_what_can_be_learned() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = MambaClassifier(replace(MODEL, labels=("red", "green", "blue")), eager_operators())
    held_out = colours(60, 1)
    task = ClassifierTask(model, colours(90, 0), held_out, batch=16, steps=40, workers=0)
    assert evaluate(model.eval(), held_out)["accuracy"] < 0.7
    optimizer = torch.optim.AdamW(groups_of(model.train(), 0.05, GroupConfig()), lr=1e-2)
    for batch in task.batches(0):
        loss, _ = task.loss(batch)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert evaluate(model.eval(), held_out, views=True) == {"accuracy": 1.0, "accuracy_tta": 1.0}


def test_every_epoch_has_every_picture_once_in_its_own_order() -> None:
    model = MambaClassifier(replace(MODEL, labels=("red", "green", "blue")), eager_operators())
    plain = AugmentConfig(crop=0, flip=False, policy="none", erasing=0.0, mixing=0.0)
    pictures = colours(10, 0)
    numbered = Pictures(pictures.images, np.arange(10), tuple(map(str, range(10))))
    model.config = replace(model.config, labels=numbered.names)
    task = ClassifierTask(model, numbered, pictures, batch=5, steps=6, workers=0, augmenting=plain)
    seen = torch.cat([batch["label"] for batch in task.batches(0)]).reshape(3, 10)
    assert all(sorted(epoch) == list(range(10)) for epoch in seen.tolist())
    assert len({tuple(epoch) for epoch in seen.tolist()}) == 3
    late = torch.cat([batch["label"] for batch in task.batches(4)])
    assert torch.equal(late, seen.flatten()[20:])


def test_batches_do_not_depend_on_who_makes_them(tmp_path: Path, write_set: WriteSet) -> None:
    train, test = read_cifar(write_set(tmp_path, "binary10"))
    model = MambaClassifier(replace(MODEL, labels=train.names), eager_operators())
    ours, theirs = (
        list(ClassifierTask(model, train, test, batch=4, steps=4, workers=workers, seed=3).batches(1))
        for workers in (0, 1)
    )
    assert len(ours) == len(theirs) == 3
    for one, other in zip(ours, theirs, strict=True):
        assert one.keys() == other.keys()
        assert all(torch.equal(one[name], other[name]) for name in one)


def test_more_than_ten_labels_are_counted_among_five() -> None:
    labels = tuple(map(str, range(12)))
    model = MambaClassifier(replace(MODEL, labels=labels), eager_operators()).eval()
    torch.nn.init.zeros_(model.head.weight)
    with torch.no_grad():
        model.head.bias.copy_(-torch.arange(12.0))
    images = np.zeros((24, 32, 32, 3), np.uint8)
    found = evaluate(model, Pictures(images, np.arange(24) % 12, labels))
    assert found == {"accuracy": round(1 / 12, 4), "top5": round(5 / 12, 4)}


@pytest.mark.parametrize("name", ["mamba-small-cifar10", "mamba-small-cifar100", "mamba-small-cifar10-v1"])
def test_the_shipped_recipes(checkout: Path, name: str) -> None:
    plan = read_plan(checkout / "models" / "recipes" / f"{name}.toml")
    assert isinstance(plan, ClassifierRecipe)
    assert plan.name == name
    assert (plan.batch, plan.loop.learning_rate, plan.loop.weight_decay) == (128, 1e-3, 0.05)
    assert plan.loop.steps * plan.batch == pytest.approx(300 * 50_000, rel=1e-3)
    assert plan.loop.warmup_steps * plan.batch == pytest.approx(20 * 50_000, rel=1e-3)
    with torch.device("meta"):
        model = MambaClassifier(replace(plan.model, labels=("a", "b")), eager_operators())
    assert len(model.blocks) == 24
    assert groups_of(model, plan.loop.weight_decay, plan.groups)
    second = not name.endswith("v1")
    assert (plan.loop.ema, plan.loop.ema_ramp) == ((0.9999, True) if second else (0.0, False))
    assert plan.loop.warmup == ("exponential" if second else "linear")
    assert plan.augment == (AugmentConfig() if second else AugmentConfig(policy="randaugment", erasing=0.0))


@pytest.mark.parametrize(
    ("name", "layout"),
    [
        ("mamba-small-cifar10", "binary10"),
        ("mamba-small-cifar10-v1", "binary10"),
        ("mamba-small-cifar100", "binary100"),
    ],
)
def test_the_shipped_recipes_run(
    checkout: Path, tmp_path: Path, write_set: WriteSet, name: str, layout: str
) -> None:
    """A step of each, at two narrow layers, on a few pictures of the data set's own layout."""
    write_set(tmp_path / "set", layout)
    changes = ["folder=set", "batch=4", "workers=0", "model.dim=16", "model.layers=2", "loop.device=cpu"]
    plan = read_plan(checkout / "models" / "recipes" / f"{name}.toml", changes)
    assert isinstance(plan, ClassifierRecipe)
    lines: list[dict[str, Any]] = []
    train_classifier(plan, tmp_path, tmp_path / "run", mode=Mode(trial=lines))
    assert [line["batch"]["image"] for line in lines] == [[4, 3, 32, 32]]
    assert lines[0]["loss"] > 0


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ("fast = true", "unknown recipe option fast"),
        ("[model]\nwings = 2", "unknown model option wings"),
        ("[augment]\npolicy = 'best'", "policy is 'best'"),
        ("[groups]\ndecay = 1", "unknown groups option decay"),
        ("[loop]\nspeed = 1\nsteps = 1", "unknown loop option speed"),
        ("[model]\nlabels = ['a', 'b']", "the model table gives labels"),
        ("batch = 0", "batch is 0"),
        ("images = -1", "images is -1"),
    ],
)
def test_a_recipe_with_what_there_is_not(tmp_path: Path, more: str, problem: str) -> None:
    path = tmp_path / "recipe.toml"
    loop = "" if "[loop]" in more else "\n[loop]\nsteps = 1"
    path.write_text(f"name = 'x'\ntask = 'classification'\n{more}{loop}\n")
    with pytest.raises(OptionError, match=problem):
        read_plan(path)
