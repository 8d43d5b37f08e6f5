"""The training loop itself, on a line that is fitted in no time."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from framestate.errors import OptionError, TrainingError
from framestate.models.artrack_mamba import ArtrackMamba
from framestate.models.plans import read_plan
from framestate.models.training.checkpoint import load_checkpoint, save_checkpoint
from framestate.models.training.config import LoopConfig
from framestate.models.training.loop import seconds_logged, train
from framestate.models.training.origin import Origin, defaults_of, values_in, values_of
from framestate.models.training.schedules import schedule
from torch import Tensor, nn

BuildModel = Callable[..., ArtrackMamba]


def everything(model: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_the_schedule_warms_up_and_falls() -> None:
    config = LoopConfig(steps=100, learning_rate=1.0, warmup_steps=10, final_share=0.1)
    rates = [schedule(config, step, step / 100) for step in range(101)]
    assert rates[:10] == pytest.approx([(step + 1) / 10 for step in range(10)])
    assert all(a >= b for a, b in pairwise(rates[10:]))
    assert rates[100] == pytest.approx(0.1)
    assert schedule(config, 50, 3.0) == pytest.approx(0.1)


def test_an_exponential_warm_up_is_steep_first() -> None:
    config = LoopConfig(steps=100, learning_rate=1.0, warmup_steps=20, warmup="exponential")
    rates = [schedule(config, step, 0.0) for step in range(20)]
    assert rates[9] == pytest.approx((1 - math.exp(-2.5)) / (1 - math.exp(-5)))
    assert rates[19] == pytest.approx(1.0)
    rises = [b - a for a, b in pairwise(rates)]
    assert all(a > b > 0 for a, b in pairwise(rises))
    with pytest.raises(OptionError, match="warmup is 'slow'"):
        LoopConfig(steps=1, warmup="slow")


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


def test_an_average_that_ramps_up_forgets_the_first_weights(tmp_path: Path) -> None:
    options: dict[str, Any] = {"steps": 60, "ema": 0.9999, "learning_rate": 0.1, "warmup_steps": 0}
    slow = train(Line(), LoopConfig(**options), tmp_path / "slow")
    ramped = train(Line(), LoopConfig(**options, ema_ramp=True), tmp_path / "ramped")
    start = float(Line().model.get_parameter("weight").detach())
    assert abs(slow.metrics["slope"] - start) < 0.1 * abs(2 - start)
    assert abs(ramped.metrics["slope"] - 2) < 0.2 * abs(2 - start)


def test_without_an_average_the_weights_are_the_result(tmp_path: Path) -> None:
    learner = Line()
    result = train(learner, LoopConfig(steps=5, ema=0.0), tmp_path)
    assert same(everything(result.model), everything(learner.model))


@pytest.mark.parametrize("scale", [0.0, 0.5])
def test_groups_learn_at_their_share_and_clipping_can_be_left_out(tmp_path: Path, scale: float) -> None:
    learner, kept = Line(), Line()
    before = everything(learner.model)
    weight, bias = learner.model.parameters()
    groups: list[dict[str, object]] = [{"params": [weight]}, {"params": [bias], "scale": scale}]
    options: dict[str, Any] = {"learning_rate": 0.1, "warmup_steps": 0, "weight_decay": 0.0}
    config = LoopConfig(steps=1, clip=0.0, final_share=1.0, **options)
    train(learner, config, tmp_path / "groups", groups=groups)
    train(kept, config, tmp_path / "plain")
    moved, plain = (everything(task.model)["bias"] - before["bias"] for task in (learner, kept))
    assert plain.abs() > 0.05
    torch.testing.assert_close(moved, scale * plain)


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

    def full(tensors: dict[str, Tensor], target: Path, metadata: dict[str, str]) -> None:
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


class Killed(Exception):
    """As a run ends that is killed."""


def test_a_log_holds_every_step_once(tmp_path: Path) -> None:
    """Steps that were logged behind the last checkpoint are done again, and logged once."""
    config = LoopConfig(steps=9, save_every=4, log_every=1)

    def kill(step: int, line: dict[str, float]) -> None:
        if step == 7:
            raise Killed

    with pytest.raises(Killed):
        train(Line(), config, tmp_path, kill)
    with (tmp_path / "log.jsonl").open("a") as log:
        log.write('{"step": 8, "sec')
    train(Line(), config, tmp_path)
    steps = [json.loads(line)["step"] for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert steps == list(range(1, 10))


def test_a_run_says_how_much_of_it_is_done(tmp_path: Path) -> None:
    shares: list[float] = []
    config = LoopConfig(steps=4, log_every=1)
    train(Line(), config, tmp_path, lambda step, line: shares.append(line["done"]))
    assert shares == [0.25, 0.5, 0.75, 1.0]


def test_a_run_goes_on_by_what_it_was_made_by(tmp_path: Path) -> None:
    config = LoopConfig(steps=2)
    said: list[str] = []
    train(Line(), config, tmp_path, origin=Origin({"seed": 1, "loop.steps": 2}))
    train(Line(), config, tmp_path, origin=Origin({"seed": 1, "loop.steps": 2}))
    many = {"seed": 2, **{f"samples.{letter}": 1 for letter in "abcdefghij"}}
    with pytest.raises(TrainingError, match=r"loop.steps 2 -> None, samples.a None -> 1, .* and 4 more"):
        train(Line(), config, tmp_path, origin=Origin(many))
    train(Line(), config, tmp_path, origin=Origin({"seed": 2}, accept=True, say=said.append))
    assert said == ["going on with another recipe: loop.steps 2 -> None, seed 1 -> 2"]
    assert values_in(tmp_path / "checkpoint.safetensors") == {"seed": 2}
    later = {"seed": 2, "model.wings": 0}  # an option that the checkpoint is older than
    train(Line(), config, tmp_path, origin=Origin(later, {"model.wings": 0}))
    with pytest.raises(TrainingError, match=r"model.wings 0 -> 2"):
        train(Line(), config, tmp_path, origin=Origin({**later, "model.wings": 2}, {"model.wings": 0}))


def test_values_and_defaults_of_a_recipe(checkout: Path) -> None:
    plan = read_plan(checkout / "models/recipes/interp-base-phase1.toml")
    values, defaults = values_of(plan), defaults_of(plan)
    assert (values["loop.learning_rate"], defaults["loop.learning_rate"]) == (2e-4, 1e-3)
    assert (values["model.flow"], defaults["model.flow"]) == (False, True)
    assert (values["model.kept_neurons"], defaults["model.kept_neurons"]) == ([], [])
    assert defaults.keys() < values.keys()
    assert values.keys() - defaults.keys() == {"name", "loop.steps"}
    assert not {"text", "workers", "loop.device"} & values.keys()


def test_a_checkpoint_of_another_shape_is_named_in_a_line(tmp_path: Path, build: BuildModel) -> None:
    path = tmp_path / "checkpoint.safetensors"
    wide, narrow = build(dim=16), build()
    save_checkpoint(path, wide, wide, torch.optim.AdamW(wide.parameters()), 3)
    with pytest.raises(TrainingError, match=r"of another shape: .* and \d+ more") as caught:
        load_checkpoint(path, narrow, narrow, torch.optim.AdamW(narrow.parameters()))
    assert len(str(caught.value)) < 600


def test_no_steps_are_no_run() -> None:
    with pytest.raises(OptionError, match="steps is 0"):
        LoopConfig(steps=0)
