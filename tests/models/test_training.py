"""The training loop: a run that was cut and resumed is the run that was not, bit for bit."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from framestate.errors import DataError, OptionError, TrainingError
from framestate.models import build_model, dump_weights, load_weights
from framestate.models.artrack_mamba import ArtrackMamba
from framestate.models.tracking.clips import Clip
from framestate.models.tracking.poses import SampleConfig
from framestate.models.tracking.recipe import read_recipe
from framestate.models.tracking.samples import SampleSource
from framestate.models.tracking.task import SampleDataset, TrackerTask
from framestate.models.tracking.train import train_tracker
from framestate.models.training.checkpoint import load_checkpoint, save_checkpoint
from framestate.models.training.loop import LoopConfig, parameter_groups, schedule, seconds_logged, train
from framestate.plugins import eager_operators
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
    config = LoopConfig(steps=6, warmup_steps=2, save_every=cut, log_every=1)
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


def test_the_schedule_warms_up_and_falls() -> None:
    config = LoopConfig(steps=100, learning_rate=1.0, warmup_steps=10, final_share=0.1)
    rates = [schedule(config, step, step / 100) for step in range(101)]
    assert rates[:10] == pytest.approx([(step + 1) / 10 for step in range(10)])
    assert all(a >= b for a, b in pairwise(rates[10:]))
    assert rates[100] == pytest.approx(0.1)
    assert schedule(config, 50, 3.0) == pytest.approx(0.1)


class Line:
    """A task that fits a line; ``spoil`` is what the loss becomes at step 3."""

    def __init__(self, spoil: float | None = None) -> None:
        torch.manual_seed(0)
        self.model: nn.Module = nn.Linear(1, 1)
        self.spoil = spoil

    def batches(self, start: int) -> Iterator[dict[str, Tensor]]:
        for step in range(start, 1_000_000):
            yield {"x": torch.full((4, 1), float(step % 3)), "step": torch.tensor(step)}

    def loss(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        loss = (self.model(batch["x"]) - 2 * batch["x"]).square().mean()
        if self.spoil is not None and int(batch["step"]) == 3:
            loss = loss * self.spoil
        return loss, {"loss": loss.item()}

    def validate(self, model: nn.Module) -> dict[str, float]:
        return {"slope": float(model.get_parameter("weight").detach().item())}


@pytest.mark.parametrize("spoil", [float("nan"), float("inf")])
def test_a_gradient_that_is_no_number_stops_the_run(tmp_path: Path, spoil: float) -> None:
    config = LoopConfig(steps=9, save_every=2, log_every=1)
    with pytest.raises(TrainingError, match=r"gradient at step 3 is (nan|inf).*lower the learning rate"):
        train(Line(spoil), config, tmp_path)
    learner = Line()
    resumed = train(learner, config, tmp_path)  # the checkpoint of step 2 is sound
    assert resumed.steps == 9
    assert all(value.isfinite().all() for value in learner.model.state_dict().values())


def test_a_loss_that_is_no_number_stops_the_run_by_its_name(task: MakeTask, tmp_path: Path) -> None:
    learner = task()
    with torch.no_grad():
        bias = learner.model.head.out.bias
        assert bias is not None
        bias[3] = float("nan")
    with pytest.raises(TrainingError, match="loss 'giou' is nan"):
        train(learner, LoopConfig(steps=3), tmp_path)


def test_the_clock_ends_a_run(tmp_path: Path) -> None:
    result = train(
        Line(), LoopConfig(steps=10**9, minutes=0.005, save_every=10**9, log_every=10**9), tmp_path
    )
    assert 0 < result.steps < 10**9
    assert 0.3 <= result.seconds < 5
    assert (tmp_path / "checkpoint.safetensors").exists()


def test_the_average_is_what_is_validated_and_returned(tmp_path: Path) -> None:
    learner, seen = Line(), []
    config = LoopConfig(steps=6, ema=0.9, learning_rate=0.1, warmup_steps=0, log_every=2, validate_every=4)
    result = train(learner, config, tmp_path, lambda step, line: seen.append((step, line)))
    assert not torch.equal(result.model.get_parameter("weight"), learner.model.get_parameter("weight"))
    assert result.metrics == {"slope": result.model.get_parameter("weight").item()}
    assert [step for step, _ in seen] == [2, 4, 6]
    assert ["slope" in line for _, line in seen] == [False, True, False]


def test_a_finished_run_stays_finished(tmp_path: Path) -> None:
    config = LoopConfig(steps=4)
    first = train(Line(), config, tmp_path)
    again = train(Line(), config, tmp_path)
    assert again.steps == 4
    assert same(everything(first.model), everything(again.model))


def test_checkpoints_that_do_not_fit(tmp_path: Path, build: BuildModel) -> None:
    model = build()
    path = tmp_path / "checkpoint.safetensors"
    path.write_bytes(b"nothing of the kind")
    optimizer = torch.optim.AdamW(model.parameters())
    with pytest.raises(TrainingError, match="cannot be read"):
        load_checkpoint(path, model, model, optimizer)
    other = build(layers=1)
    save_checkpoint(path, other, other, torch.optim.AdamW(other.parameters()), 3)
    with pytest.raises(TrainingError, match="does not fit the recipe's model"):
        load_checkpoint(path, model, model, optimizer)


def test_a_save_that_fails_leaves_the_last_checkpoint(
    tmp_path: Path, build: BuildModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = build()
    optimizer = torch.optim.AdamW(model.parameters())
    path = tmp_path / "checkpoint.safetensors"
    save_checkpoint(path, model, model, optimizer, 3)

    def full(tensors: dict[str, Tensor], target: Path) -> None:
        target.write_bytes(b"half of it")
        raise OSError("no space left")

    monkeypatch.setattr("framestate.models.training.checkpoint.save_file", full)
    with pytest.raises(OSError, match="no space"):
        save_checkpoint(path, model, model, optimizer, 4)
    assert load_checkpoint(path, model, model, optimizer) == 3


def test_the_log_says_how_long_a_run_has_been_going(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    assert seconds_logged(log, 10) == 0
    log.write_text('{"step": 5, "seconds": 1.5}\n{"step": 10, "seconds": 3.0}\n{"step": 15, "sec')
    assert seconds_logged(log, 10) == 3.0
    assert seconds_logged(log, 9) == 1.5


def test_no_steps_are_no_run() -> None:
    with pytest.raises(OptionError, match="steps is 0"):
        LoopConfig(steps=0)


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


def test_from_a_recipe_to_weights_that_load(
    tmp_path: Path, write_archive: Callable[..., Path], write_clip: Callable[..., Path]
) -> None:
    write_archive("images/one.zip")
    for name in ("kept", "held"):
        write_clip(name, frames=4)
    (tmp_path / "recipe.toml").write_text(
        'name = "small"\nbatch = 2\nworkers = 0\nclips = "clips"\nheld_out = ["held"]\n'
        "[model]\ntemplate_size = 32\nsearch_size = 64\ndim = 8\nlayers = 1\nstem_channels = [4, 4, 8, 8]\n"
        "head_channels = 4\nstates = 4\nhead_dim = 8\n"
        "[samples]\ntemplate_size = 32\nsearch_size = 64\n[loop]\nsteps = 2\n"
    )
    result, report = train_tracker(read_recipe(tmp_path / "recipe.toml"), tmp_path, tmp_path / "run")
    assert report["clips"] == 1
    assert result.metrics.keys() == {"iou_restart", "iou_carry"}
    assert all(0 <= value <= 1 for value in result.metrics.values())
    assert isinstance(result.model, ArtrackMamba)
    fresh = build_model(result.model.spec("small"), eager_operators())
    load_weights(fresh, dump_weights(result.model))
