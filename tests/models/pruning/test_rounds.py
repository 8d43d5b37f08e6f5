"""Pruning in rounds: what is pulled fades, what stays is left alone, and a killed run goes on to the bit."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from framestate.errors import OptionError
from framestate.models.classification import ClassifierConfig, MambaClassifier
from framestate.models.classification.augment import AugmentConfig
from framestate.models.classification.cifar import Pictures
from framestate.models.classification.task import ClassifierTask, evaluate
from framestate.models.pruning.groups import cut
from framestate.models.pruning.options import PruneOptions
from framestate.models.pruning.registry import groups_of
from framestate.models.pruning.rounds import Pruning
from framestate.models.pruning.rsst import pull_at
from framestate.models.pruning.unstructured import save_masks, sparsity
from framestate.models.training.config import LoopConfig
from framestate.models.training.loop import Task
from framestate.plugins import eager_operators
from torch import Tensor, nn

NAMES = ("red", "green", "blue")
MODEL = ClassifierConfig(dim=16, layers=2, states=8, expand=2, drop_path=0.0, labels=NAMES)
BATCH = 8


def colours(count: int, seed: int) -> Pictures:
    """Pictures whose label is their colour, under noise."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    images = rng.integers(0, 120, (count, 32, 32, 3))
    images[np.arange(count), :, :, labels] += 90
    return Pictures(images.astype(np.uint8), labels, NAMES)


class Colours:
    """Trains and measures on colours: a trainer of the real loop and the real task."""

    loop = LoopConfig(1, learning_rate=2e-3, save_every=5, log_every=5, warmup_steps=5)
    seed, metric = 0, "accuracy"
    pictures, held_out = colours(60, 0), colours(30, 1)

    def task(self, model: nn.Module, steps: int, seed: int) -> Task:
        assert isinstance(model, MambaClassifier)
        plain = AugmentConfig(policy="none", erasing=0.0, mixing=0.0)
        return ClassifierTask(model, self.pictures, self.held_out, BATCH, steps, 0, seed, plain)

    def groups(self, model: nn.Module) -> list[dict[str, object]] | None:
        return None

    def bare(self, model: nn.Module) -> nn.Module:
        return model

    def measure(self, model: nn.Module) -> dict[str, float]:
        assert isinstance(model, MambaClassifier)
        return evaluate(model.eval(), self.held_out)


@pytest.fixture(scope="module")
def trained() -> MambaClassifier:
    """A model that has learned the colours."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = MambaClassifier(MODEL, eager_operators())
    task = Colours().task(model, 30, 0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for batch in task.batches(0):
        optimizer.zero_grad()
        task.loss(batch)[0].backward()
        optimizer.step()
    assert evaluate(model.eval(), Colours.held_out)["accuracy"] > 0.9
    return model


def prune(model: MambaClassifier, out: Path, trainer: Any = None, **options: Any) -> Any:
    trainer = Colours() if trainer is None and options.get("steps") else trainer
    return Pruning(model, model.spec("whole"), trainer, PruneOptions(**options), out).run("pruned")


def test_the_pull_grows_over_the_whole_round() -> None:
    """λ(p) = R / (e - 1) · (exp(p⁴) - 1): nothing at first, R at the end, ever steeper."""
    values = [pull_at(step / 100, 0.3) for step in range(101)]
    assert values[0] == 0
    assert values[100] == pytest.approx(0.3)
    assert values[50] == pytest.approx(0.3 / (math.e - 1) * (math.exp(0.0625) - 1))
    steps = np.diff(values)
    assert (np.diff(steps) > 0).all()


@pytest.mark.parametrize(
    ("schedule", "exponent", "values"),
    [
        ("linear", 4.0, (0.0, 0.15, 0.3)),
        ("constant", 4.0, (0.3, 0.3, 0.3)),
        ("exponents", 1.0, (0.0, 0.3 / (math.e - 1) * (math.exp(0.5) - 1), 0.3)),
    ],
)
def test_schedules_of_the_pull(schedule: str, exponent: float, values: tuple[float, ...]) -> None:
    found = [pull_at(done, 0.3, schedule, exponent) for done in (0.0, 0.5, 1.0)]
    assert found == pytest.approx(values)


@pytest.mark.parametrize("schedule", ["linear", "constant"])
def test_any_schedule_pulls(trained: MambaClassifier, tmp_path: Path, schedule: str) -> None:
    found = prune(trained, tmp_path, method="rsst", steps=40, share=0.8, schedule=schedule)
    (pulled,) = found.pulled
    assert pulled["targets_after"] <= pulled["targets_before"] / 10


@pytest.mark.parametrize("method", ["magnitude", "rsst"])
def test_single_weights_become_zeros_and_stay_so(
    trained: MambaClassifier, tmp_path: Path, method: str
) -> None:
    found = prune(trained, tmp_path / "run", method=method, structure="none", ratio=0.7, rounds=2, steps=24)
    assert found.spec.config == trained.spec("whole").config
    share = sparsity(found.masks)
    assert share["all"] == pytest.approx(0.7, abs=0.01)
    assert len(set(share.values())) > 2  # one threshold: layers lose what they can spare
    weights = found.model.state_dict()
    for name, mask in found.masks.items():
        assert not weights[name][~mask].any(), name
        assert weights[name][mask].any(), name
    assert "head.weight" not in found.masks
    assert bool(found.pulled) is (method == "rsst")
    save_masks(tmp_path / "masks.safetensors", found.masks)
    again = prune(
        trained, tmp_path / "again", method="magnitude", structure="none",
        masks=str(tmp_path / "masks.safetensors"),
    )  # fmt: skip
    assert sparsity(again.masks) == share


def test_what_is_pulled_fades_and_the_rest_stays(trained: MambaClassifier, tmp_path: Path) -> None:
    found = prune(trained, tmp_path, method="rsst", ratio=0.5, steps=150, share=0.8)
    (pulled,) = found.pulled
    assert pulled["targets_before"] > 1
    assert pulled["targets_after"] <= pulled["targets_before"] / 10
    assert pulled["others_after"] >= 0.9 * pulled["others_before"]
    assert found.metrics["accuracy"] > 0.9
    assert found.spec.name == "pruned"


@pytest.mark.parametrize("method", ["refill", "magnitude", "saliency"])
def test_methods_cut_what_they_are_told_to(trained: MambaClassifier, tmp_path: Path, method: str) -> None:
    found = prune(trained, tmp_path, method=method, ratio=0.5, target="mlp", steps=4)
    before, after = (sum(units[i] for units in found.units.values()) for i in (0, 1))
    assert after == pytest.approx(before / 2, abs=8)
    assert {name.rsplit(".", 1)[1] for name in found.units} == {"neurons"}
    assert found.spec.config["kept_channels"] == [32, 32]
    assert all(left % 8 == 0 and left > 0 for _, left in found.units.values())


def test_rounds_go_as_far_as_one(trained: MambaClassifier, tmp_path: Path) -> None:
    found = prune(trained, tmp_path, method="magnitude", ratio=0.75, rounds=2)
    assert {units for name, units in found.units.items() if "neurons" in name} == {(64, 16)}
    assert {units for name, units in found.units.items() if "channels" in name} == {(32, 8)}
    assert {units for name, units in found.units.items() if "states" in name} == {(8, 8)}


def test_no_layer_is_emptied(trained: MambaClassifier, tmp_path: Path) -> None:
    found = prune(trained, tmp_path, method="refill", ratio=0.99)
    assert {left for _, left in found.units.values()} == {8}


def test_rewinding_starts_from_the_first_weights(trained: MambaClassifier, tmp_path: Path) -> None:
    run = Pruning(
        trained,
        trained.spec("whole"),
        Colours(),
        PruneOptions(method="rsst", steps=6, share=0.99, rewind=True),
        tmp_path,
    )
    found = run.run("pruned")
    assert found.steps == 6
    kept = run.chosen(tmp_path / "round-1" / "kept.json", 0)
    first = cut(trained.state_dict(), groups_of(trained.spec("whole")), kept)
    for name, value in found.model.state_dict().items():
        assert torch.equal(value, first[name]), name


class Killed(Exception):
    """What ends a run in the middle."""


@pytest.mark.parametrize("stop", [3, 7, 12])  # before a checkpoint, after one, in the second phase
def test_a_killed_run_goes_on_to_the_bit(
    trained: MambaClassifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: int
) -> None:
    options: dict[str, Any] = {"method": "rsst", "ratio": 0.5, "steps": 16, "share": 0.5, "rank": "saliency"}
    whole = prune(trained, tmp_path / "whole", **options)
    plain, taken = ClassifierTask.batches, 0

    def cut_short(task: ClassifierTask, start: int) -> Iterator[dict[str, Tensor]]:
        nonlocal taken
        for batch in plain(task, start):
            if task.steps > 4:  # not those that saliency is taken over
                taken += 1
            if taken > stop:
                raise Killed
            yield batch

    monkeypatch.setattr(ClassifierTask, "batches", cut_short)
    with pytest.raises(Killed):
        prune(trained, tmp_path / "killed", **options)
    monkeypatch.setattr(ClassifierTask, "batches", plain)
    resumed = prune(trained, tmp_path / "killed", **options)
    ours, theirs = whole.model.state_dict(), resumed.model.state_dict()
    assert ours.keys() == theirs.keys()
    for name, value in ours.items():
        assert torch.equal(value, theirs[name]), name
    assert resumed.metrics == whole.metrics
    assert resumed.pulled == whole.pulled
    again = prune(trained, tmp_path / "whole", **options)
    assert again.metrics == whole.metrics


def test_a_killed_run_of_single_weights_goes_on_to_the_bit(
    trained: MambaClassifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options: dict[str, Any] = {"method": "rsst", "structure": "none", "ratio": 0.6, "rounds": 2, "steps": 24}
    whole = prune(trained, tmp_path / "whole", **options)
    plain, taken = ClassifierTask.batches, 0

    def cut_short(task: ClassifierTask, start: int) -> Iterator[dict[str, Tensor]]:
        nonlocal taken
        for batch in plain(task, start):
            taken += 1
            if taken > 18:
                raise Killed
            yield batch

    monkeypatch.setattr(ClassifierTask, "batches", cut_short)
    with pytest.raises(Killed):
        prune(trained, tmp_path / "killed", **options)
    monkeypatch.setattr(ClassifierTask, "batches", plain)
    resumed = prune(trained, tmp_path / "killed", **options)
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[name]), name
    assert all(torch.equal(mask, resumed.masks[name]) for name, mask in whole.masks.items())


def test_a_folder_of_another_run_is_refused(trained: MambaClassifier, tmp_path: Path) -> None:
    prune(trained, tmp_path, method="magnitude", ratio=0.5)
    with pytest.raises(OptionError, match="other options"):
        prune(trained, tmp_path, method="magnitude", ratio=0.7)


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"method": "scissors"}, "unknown"),
        ({"method": "refill", "rank": "taste"}, "unknown"),
        ({"method": "magnitude", "ratio": 1.0}, "ratio"),
        ({"method": "magnitude", "rounds": 0}, "rounds"),
        ({"method": "rsst", "steps": 1}, "trains first"),
        ({"method": "rsst", "steps": 9, "strength": 0.0}, "strength"),
        ({"method": "saliency"}, "needs data"),
        ({"method": "magnitude", "structure": "crystal"}, "structure 'crystal' is unknown"),
        ({"method": "refill", "structure": "none"}, "takes whole units"),
        ({"method": "magnitude", "masks": "a"}, "masks are of single weights"),
        ({"method": "magnitude", "schedule": "sudden"}, "the schedule is 'sudden'"),
    ],
)
def test_options_that_cannot_be(
    trained: MambaClassifier, tmp_path: Path, options: dict[str, Any], what: str
) -> None:
    with pytest.raises(OptionError, match=what):
        Pruning(trained, trained.spec("whole"), None, PruneOptions(**options), tmp_path)
