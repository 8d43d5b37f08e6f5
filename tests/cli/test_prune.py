"""``framestate prune``, on models and data that are as small as they can be."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from framestate.bundles import Bundle, load_bundle
from framestate.engine import Engine
from framestate.vision import Frame

RECIPE = """
name = "micro"
task = "classification"
folder = "set"
batch = 4
workers = 0
held_out = 0
[augment]
policy = "none"
erasing = 0.0
[loop]
steps = 4
log_every = 1
warmup_steps = 1
"""


@pytest.fixture
def data(tiny_cifar: Path) -> Path:
    """Pictures and a recipe that trains on them."""
    (tiny_cifar / "micro.toml").write_text(RECIPE)
    return tiny_cifar


@pytest.fixture
def classifier(tmp_path: Path) -> Path:
    """A bundle of CIFAR's size with weights alone: graphs are made of what is left of it."""
    import torch
    from framestate.bundles import write_bundle
    from framestate.models import dump_weights
    from framestate.models.classification import ClassifierConfig, MambaClassifier
    from framestate.plugins import eager_operators
    from safetensors.numpy import save

    config = ClassifierConfig(dim=16, layers=2, states=8, labels=("cat", "dog", "sea"))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = MambaClassifier(config, eager_operators()).eval()
    files: dict[str, Any] = {"weights.safetensors": save(dump_weights(model))}
    folder = tmp_path / "whole"
    write_bundle(folder, model.spec("whole"), files, provenance={"seed": 0}, metrics={}, parity={})
    return folder


@pytest.mark.slow
def test_methods_are_compared_and_a_finished_run_is_there_at_once(
    report: Callable[..., dict[str, Any]], classifier: Path, data: Path, work: Path
) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("matplotlib")
    arguments = (
        "prune", classifier, "--out", "runs", "--method", "rsst", "--method", "magnitude", "--ratio", 0.5,
        "--recipe", data / "micro.toml", "--data", data, "--frames", 2, "--dense",
        "--plot", "curve.png",
    )  # fmt: skip
    found = report(*arguments)
    before, dense, rsst, magnitude = found["runs"]
    assert [one["name"] for one in found["runs"]] == ["before", "dense", "rsst-50", "magnitude-50"]
    assert found["metric"] == "accuracy"
    for one in (rsst, magnitude):
        assert one["parameters"] < dense["parameters"] == before["parameters"]
        assert one["flops"] < before["flops"]
        assert one["ms"]["eager"] > 0
        assert one["ms"]["onnx"] > 0
        assert one["steps"] == 4
        assert 0 <= one["metrics"]["accuracy"] <= 1
    (pulled,) = rsst["pulled"]
    assert pulled["targets_after"] < pulled["targets_before"]
    assert (work / "curve.png").stat().st_size > 1000
    assert json.loads((work / "runs" / "report.json").read_text())["runs"] == found["runs"]

    smaller = load_bundle(str(work / "runs" / "rsst-50" / "whole-rsst-50"))
    said: Any = smaller.provenance["pruned"]
    assert (said["from"], said["method"], said["ratio"]) == ("whole", "rsst", 0.5)
    assert said["units"]["blocks.0.mlp.neurons"][1] < 64
    assert smaller.provenance["seed"] == 0
    image = np.random.default_rng(1).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    from fractions import Fraction

    with Engine.load(smaller, runtime="onnx") as engine, engine.open() as session:
        assert session.push(Frame(image, 0, Fraction(1, 25), 0)).label in ("cat", "dog", "sea")

    again = report(*arguments)
    assert [one["metrics"] for one in again["runs"]] == [one["metrics"] for one in found["runs"]]


@pytest.mark.slow
def test_single_weights_are_masked_and_told(
    report: Callable[..., dict[str, Any]], classifier: Path, data: Path, work: Path
) -> None:
    pytest.importorskip("torch")
    found = report(
        "prune", classifier, "--out", "runs", "--method", "magnitude", "--ratio", 0.6, "--structure", "none",
        "--recipe", data / "micro.toml", "--data", data, "--frames", 2,
    )  # fmt: skip
    before, after = found["runs"]
    assert after["name"] == "magnitude-60-weights"
    assert after["parameters"] == before["parameters"]
    assert after["sparsity"]["all"] == pytest.approx(0.6, abs=0.01)
    folder = work / "runs" / "magnitude-60-weights"
    said: Any = load_bundle(str(folder / "whole-magnitude-60-weights")).provenance["pruned"]
    assert said["sparsity"] == after["sparsity"]["all"]
    again = report(
        "prune", classifier, "--out", "again", "--method", "magnitude", "--structure", "none",
        "--masks", folder / "masks.safetensors", "--frames", 2,
    )  # fmt: skip
    assert again["runs"][1]["sparsity"] == after["sparsity"]


@pytest.mark.long
def test_an_interpolator_is_cut_without_data(report: Callable[..., dict[str, Any]], work: Path) -> None:
    pytest.importorskip("torch")
    found = report(
        "prune", "interp-nano", "--out", "runs", "--method", "magnitude", "--ratio", 0.5, "--frames", 2
    )
    before, after = found["runs"]
    assert after["parameters"] < before["parameters"]
    assert after["flops"] < before["flops"]
    assert set(after["units"]) == {"lgs32.blocks.0.mlp.neurons", "lgs32.blocks.0.mamba.mixer.states"}


@pytest.mark.slow
def test_a_tracker_is_cut_without_data(
    report: Callable[..., dict[str, Any]], tmp_path: Path, work: Path
) -> None:
    """Magnitude needs none; the session's state shrinks, and both runtimes follow the smaller model."""
    pytest.importorskip("torch")
    found = report(
        "prune", "tracker-nano", "--out", "runs", "--method", "magnitude", "--ratio", 0.5, "--target", "ssm",
        "--frames", 2,
    )  # fmt: skip
    before, after = found["runs"]
    assert after["state_bytes"] <= 0.7 * before["state_bytes"]
    assert after["ms"].keys() == {"eager", "onnx"}
    smaller = load_bundle(str(work / "runs" / "magnitude-50" / "tracker-nano-magnitude-50"))
    assert smaller.spec.preprocess == load_bundle("tracker-nano").spec.preprocess
    assert smaller.spec.config["states"] < load_bundle("tracker-nano").spec.config["states"]  # type: ignore[operator]


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["--method", "scissors"], "the method 'scissors' is unknown"),
        (["--method", "dense"], "dense is no method"),
        (["--method", "magnitude", "--ratio", "1.5"], "the ratio is 1.5"),
        (["--method", "magnitude", "--target", "mlp"], "nothing to cut of 'mlp'"),
        (["--method", "rsst"], "rsst has 0 steps"),
        (["--method", "saliency"], "needs data"),
        (["--method", "magnitude", "--steps", "5"], "nothing to train with"),
        (["--method", "magnitude", "--recipe", "r.toml"], "--recipe and --data go together"),
    ],
)
def test_what_cannot_be_is_refused(
    refused: Callable[..., str], arguments: list[str], what: str, work: Path
) -> None:
    pytest.importorskip("torch")
    assert what in refused("prune", "tracker-nano", "--out", "runs", *arguments)


def test_a_recipe_of_another_kind_is_refused(
    refused: Callable[..., str], tiny_classifier: Bundle, data: Path
) -> None:
    pytest.importorskip("torch")
    line = refused("prune", "tracker-nano", "--out", "runs", "--recipe", data / "micro.toml", "--data", data)
    assert "recipe micro is not one of artrack_mamba" in line
