"""A tracker is pruned with its own recipe as the source of data and loss; other recipes are refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from framestate.errors import OptionError
from framestate.models.artrack_mamba import ArtrackMamba
from framestate.models.plans import read_plan
from framestate.models.pruning.options import PruneOptions
from framestate.models.pruning.rounds import Pruning
from framestate.models.pruning.trainers import open_trainer
from torch import nn

Build = Callable[[str], nn.Module]
RECIPE = """
name = "micro"
images = "images"
batch = 2
workers = 0
clips = "clips"
held_out = ["held"]
[model]
template_size = 32
search_size = 64
[samples]
template_size = 32
search_size = {size}
[loop]
steps = 4
log_every = 1
warmup_steps = 1
"""


def write_recipe(folder: Path, size: int = 64) -> Any:
    text = RECIPE.format(size=size).replace("search_size = 64\n[samples]", f"search_size = {size}\n[samples]")
    (folder / "micro.toml").write_text(text)
    return read_plan(folder / "micro.toml")


@pytest.fixture
def data(tmp_path: Path, write_archive: Callable[..., Path], write_clip: Callable[..., Path]) -> Path:
    write_archive("images/stills.zip")
    write_clip("koi")
    write_clip("held")
    return tmp_path


def test_a_tracker_is_pulled_cut_and_trained(build: Build, data: Path) -> None:
    model = build("tracker")
    spec = model.spec("small")  # type: ignore[operator]
    trainer = open_trainer(write_recipe(data), data, spec)
    options = PruneOptions(method="rsst", rank="saliency", target="all", ratio=0.5, steps=4, batches=1)
    found = Pruning(model, spec, trainer, options, data / "run").run("less")
    assert isinstance(found.model, ArtrackMamba)
    assert set(found.metrics) == {"iou_restart", "iou_carry"}
    assert found.metrics[trainer.metric] >= 0
    assert found.spec.state_bytes < spec.state_bytes
    assert found.steps == 4
    parts = {name.split(".")[0] for name in found.units}
    assert parts == {"stem", "blocks", "head"}


def test_features_of_a_tracker_rank_every_group(build: Build, data: Path) -> None:
    model = build("tracker")
    spec = model.spec("small")  # type: ignore[operator]
    trainer = open_trainer(write_recipe(data), data, spec)
    options = PruneOptions(method="magnitude", rank="features", target="all", batches=1)
    run = Pruning(model, spec, trainer, options, data / "run")
    scores = run.scores(run.groups)
    assert scores.keys() == {group.name for group in run.groups}
    assert all((score > 0).any() for score in scores.values())


def test_recipes_of_other_models_are_refused(build: Build, data: Path) -> None:
    model, vil = build("tracker"), build("vil")
    spec = model.spec("small")  # type: ignore[operator]
    trainer = open_trainer(write_recipe(data, size=96), data, spec)
    with pytest.raises(OptionError, match="search_size is not the model's"):
        trainer.task(model, 1, 0)
    with pytest.raises(OptionError, match="not trained while it is pruned"):
        open_trainer(write_recipe(data), data, vil.spec("small"))  # type: ignore[operator]
    other = build("classifier")
    with pytest.raises(OptionError, match="not one of mamba_classifier"):
        open_trainer(write_recipe(data), data, other.spec("small"))  # type: ignore[operator]
