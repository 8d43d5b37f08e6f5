"""Training a tracker: a run that was cut and resumed is the run that was not, bit for bit."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from framestate.errors import DataError, OptionError, TrainingError
from framestate.models import build_model, dump_weights, load_weights
from framestate.models.artrack_mamba import ArtrackMamba
from framestate.models.plans import read_plan
from framestate.models.tracking.clips import Clip
from framestate.models.tracking.poses import SampleConfig
from framestate.models.tracking.recipe import TrackerRecipe
from framestate.models.tracking.samples import SampleSource
from framestate.models.tracking.task import SampleDataset, TrackerTask
from framestate.models.tracking.train import train_tracker
from framestate.models.training.config import LoopConfig
from framestate.models.training.loop import parameter_groups, train
from framestate.plugins import eager_operators
from safetensors.numpy import save_file
from torch import Tensor, nn

BuildModel = Callable[..., ArtrackMamba]
SAMPLES = SampleConfig(template_size=32, search_size=64)


@pytest.fixture
def task(build: BuildModel, clip: Clip) -> Callable[..., TrackerTask]:
    """A tracker's task on twelve frames; ``steps`` is the length of the whole run."""

    def make(steps: int = 6, **options: Any) -> TrackerTask:
        model = build(temporal="carry").to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        source = SampleSource(SAMPLES, [], [clip], 3)
        return TrackerTask(model, source, None, **{"batch": 2, "steps": steps, "workers": 0, **options})

    return make


MakeTask = Callable[..., TrackerTask]


def everything(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("cut", [1, 4])
def test_a_resumed_run_is_the_uninterrupted_one(task: MakeTask, tmp_path: Path, cut: int) -> None:
    config = LoopConfig(steps=6, warmup_steps=2, freeze_norms=0.5, save_every=cut, log_every=1)
    whole = task()
    straight = train(whole, config, tmp_path / "straight")

    first = task()
    with pytest.raises(KeyboardInterrupt):
        train(Interrupted(first, after=cut), config, tmp_path / "cut")
    torch.manual_seed(99)  # another process has another generator
    second = task()
    resumed = train(second, config, tmp_path / "cut")

    assert straight.steps == resumed.steps == 6
    assert same(everything(second.model), everything(whole.model))
    assert same(everything(resumed.model), everything(straight.model))
    steps = [json.loads(line)["step"] for line in (tmp_path / "cut" / "log.jsonl").read_text().splitlines()]
    assert steps == [1, 2, 3, 4, 5, 6]


class Interrupted:
    """A task whose process is stopped after some steps, before their batch is learnt from."""

    def __init__(self, task: TrackerTask, after: int) -> None:
        self.task, self.after, self.model = task, after, task.model

    def batches(self, start: int) -> Iterator[dict[str, Tensor]]:
        for index, batch in enumerate(self.task.batches(start)):
            if index == self.after:
                raise KeyboardInterrupt
            yield batch

    def loss(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        return self.task.loss(batch)

    def validate(self, model: nn.Module) -> dict[str, float]:
        return self.task.validate(model)


def test_training_changes_every_part_and_lowers_the_loss(task: MakeTask, tmp_path: Path) -> None:
    learner = task(steps=40, batch=4)
    before = everything(learner.model)
    train(learner, LoopConfig(steps=40, warmup_steps=5, learning_rate=3e-3, log_every=10), tmp_path)
    after = everything(learner.model)
    still = [n for n in before if torch.equal(before[n], after[n]) and "num_batches" not in n]
    assert still == []
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert lines[-1]["loss"] < 0.9 * lines[0]["loss"]


@pytest.mark.parametrize(("share", "moving"), [(1.0, True), (0.5, False)])
def test_norms_keep_their_statistics_once_frozen(
    task: MakeTask, tmp_path: Path, share: float, moving: bool
) -> None:
    """The averaged weights go with the statistics that the model has now, not with an average of old ones."""
    learner, means = task(steps=4), []

    def note(step: int, line: dict[str, Any]) -> None:
        statistics = {n: v for n, v in everything(learner.model).items() if "running" in n}
        means.append(statistics)

    result = train(learner, LoopConfig(steps=4, freeze_norms=share, log_every=1), tmp_path, note)
    assert not same(means[0], means[1])
    assert same(means[2], means[3]) is not moving
    returned = result.model.state_dict()
    assert all(torch.equal(returned[name], value) for name, value in means[3].items())


def test_half_of_the_searches_carry_their_state(task: MakeTask) -> None:
    """Both branches are trained, and which one follows from the sample."""
    learner = task()
    batch = next(learner.batches(0))
    assert torch.equal(batch["chance"], next(learner.batches(0))["chance"])
    chances = torch.cat([b["chance"].flatten() for b in task(steps=40).batches(0)])
    assert 0.35 < float((chances < 0.5).float().mean()) < 0.65
    learner.model.eval()
    totals = {}
    for share in (0.0, 1.0):
        learner.carry_share = share
        with torch.no_grad():
            totals[share] = learner.loss(batch)[0].item()
    assert totals[0.0] != totals[1.0]


def test_every_parameter_is_in_one_group(build: BuildModel) -> None:
    model = build()
    decayed, plain = parameter_groups(model, 0.1)
    groups: list[Any] = [decayed["params"], plain["params"]]
    ids = [id(parameter) for group in groups for parameter in group]
    assert sorted(ids) == sorted(id(parameter) for parameter in model.parameters())
    assert (decayed["weight_decay"], plain["weight_decay"]) == (0.1, 0.0)
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    undecayed = {names[id(parameter)] for parameter in plain["params"]}  # type: ignore[attr-defined]
    assert {"blocks.0.mixers.0.a_log", "blocks.0.mixers.0.dt_bias", "blocks.0.norm.weight"} <= undecayed


def test_a_loss_that_is_no_number_stops_the_run_by_its_name(task: MakeTask, tmp_path: Path) -> None:
    learner = task()
    with torch.no_grad():
        bias = learner.model.head.out.bias
        assert bias is not None
        bias[3] = float("nan")
    with pytest.raises(TrainingError, match="loss 'giou' is nan"):
        train(learner, LoopConfig(steps=3), tmp_path)


def test_a_dataset_continues_where_a_run_stopped(clip: Clip) -> None:
    source = SampleSource(SAMPLES, [], [clip], 3)
    whole, rest = SampleDataset(source, 0, 6, None), SampleDataset(source, 4, 2, None)
    assert len(rest) == 2
    for ours, theirs in zip((rest[0], rest[1]), (whole[4], whole[5]), strict=True):
        assert all((ours[name] == theirs[name]).all() for name in theirs)
    assert whole[0]["search"].shape == (2, 3, 64, 64)
    assert 0 < whole[0]["boxes"].max() < 2
    with pytest.raises(IndexError):
        rest[2]


def test_a_teacher_that_is_not_there(task: MakeTask, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"teacher .*none\.onnx does not exist"):
        task(teacher=tmp_path / "none.onnx")


@pytest.fixture
def data(tmp_path: Path, write_archive: Callable[..., Path], write_clip: Callable[..., Path]) -> Path:
    """A folder with some pictures, a clip to learn from and one to hold out."""
    write_archive("images/one.zip")
    for name in ("kept", "held"):
        write_clip(name, frames=4)
    return tmp_path


def small_recipe(folder: Path, more: str = "") -> TrackerRecipe:
    (folder / "recipe.toml").write_text(
        f'name = "small"\nbatch = 2\nworkers = 0\nclips = "clips"\nheld_out = ["held"]\n{more}\n'
        "[model]\ntemplate_size = 32\nsearch_size = 64\ndim = 8\nlayers = 1\nstem_channels = [4, 4, 8, 8]\n"
        "head_channels = 4\nstates = 4\nhead_dim = 8\n"
        "[samples]\ntemplate_size = 32\nsearch_size = 64\n[loop]\nsteps = 2\n"
    )
    found = read_plan(folder / "recipe.toml")
    assert isinstance(found, TrackerRecipe)
    return found


def test_final_weights_may_lie_between_start_and_end(data: Path) -> None:
    first, _ = train_tracker(small_recipe(data), data, data / "first")
    start = data / "start.safetensors"
    save_file(dump_weights(first.model), start)
    goes_on = f'start = "{start}"\nseed = 3'
    end, _ = train_tracker(small_recipe(data, goes_on), data, data / "end")
    between, report = train_tracker(
        small_recipe(data, f"{goes_on}\nstart_share = 0.25"), data, data / "between"
    )
    assert report["start_share"] == 0.25
    assert between.metrics.keys() == {"iou_restart", "iou_carry"}
    ends = first.model.state_dict(), end.model.state_dict()
    for name, value in between.model.state_dict().items():
        one, other = (weights[name] for weights in ends)
        expected = 0.25 * one + 0.75 * other if value.is_floating_point() else other
        torch.testing.assert_close(value, expected)
    assert not same(*ends)


@pytest.mark.parametrize(
    "more", ["start_share = 0.5", 'start = "x"\nstart_share = 1.0', "start_share = -1.0"]
)
def test_a_share_of_a_start_that_cannot_be_meant(tmp_path: Path, more: str) -> None:
    with pytest.raises(OptionError, match="start_share is"):
        small_recipe(tmp_path, more)


def test_from_a_recipe_to_weights_that_load(data: Path) -> None:
    result, report = train_tracker(small_recipe(data), data, data / "run")
    assert report["clips"] == 1
    assert result.metrics.keys() == {"iou_restart", "iou_carry"}
    assert all(0 <= value <= 1 for value in result.metrics.values())
    assert isinstance(result.model, ArtrackMamba)
    fresh = build_model(result.model.spec("small"), eager_operators())
    load_weights(fresh, dump_weights(result.model))
