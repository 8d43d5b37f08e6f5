"""One training loop for every model: AMP, EMA, warm-up and cosine, clipping, log, checkpoints, resume.

Under ``torchrun`` it is shared out over several processes, see ``distributed``.
"""

from __future__ import annotations

import copy
import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from ...errors import TrainingError
from .board import open_board, write_line
from .checkpoint import load_checkpoint, restore_generators, save_checkpoint
from .config import LoopConfig
from .distributed import Learner, Ranks, alone, joined, pick_device, shared_out
from .origin import Origin
from .schedules import averaging, schedule

Batch = dict[str, Tensor]
LEAST_SCALE = 1e-3
"""A loss that overflows float16 even at this scale is beyond repair."""


class Task(Protocol):
    """What the loop trains: a model, its batches from any step on, its loss, and a measure of quality."""

    @property
    def model(self) -> nn.Module:
        """What is trained, in place."""

    def batches(self, start: int) -> Iterator[Batch]:
        """The batches from step ``start`` on, the same ones whether a run was interrupted or not."""

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, float]]:
        """The scalar to minimise, and its terms for the log. Raises TrainingError when it is not finite."""

    def validate(self, model: nn.Module) -> dict[str, float]:
        """Quality by name, of weights in evaluation mode; empty where nothing is held out."""


@dataclass
class Result:
    """What a run came to. ``metrics`` are the last validation's, of the averaged weights."""

    steps: int
    seconds: float
    checkpoint: Path
    model: nn.Module
    metrics: dict[str, float] = field(default_factory=dict)


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, object]]:
    """Weight matrices decay; biases, norms, decay rates and other vectors do not.

    Every parameter is in exactly one of the two groups.
    """
    decayed = [p for p in model.parameters() if p.dim() >= 2]
    plain = [p for p in model.parameters() if p.dim() < 2]
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": plain, "weight_decay": 0.0}]


def train(
    task: Task,
    config: LoopConfig,
    out: Path,
    progress: Callable[[int, dict[str, float]], None] | None = None,
    groups: list[dict[str, object]] | None = None,
    after_step: Callable[[float], None] | None = None,
    origin: Origin | None = None,
) -> Result:
    """Trains, resuming from ``out/checkpoint.safetensors`` when it is there; appends to ``out/log.jsonl``.

    ``groups`` are AdamW's parameter groups, by default ``parameter_groups``; one with a ``scale`` learns at
    that share of the rate. ``after_step`` is called after each step of the optimiser with the share of the
    run behind it, which ``progress`` is told as ``done``. A checkpoint keeps ``origin`` and has to be of one
    like it. The model is moved to the device of the run, the resulting one back to the CPU.

    Raises TrainingError when a loss is not finite (the last checkpoint stays) or a checkpoint does not fit.
    """
    with joined() as ranks:
        run = Run(task, config, out, ranks, groups, after_step, origin)
        for batch in task.batches(run.step):
            if not run.take(batch):
                break
            if run.step % config.log_every == 0:
                line = run.log()
                if progress and ranks.is_main:
                    progress(run.step, {**line, "done": run.done()})
            if run.step % config.save_every == 0:
                run.save()
        run.save()
        return run.result()


class Run:
    """What a run holds: the weights, their average, the optimiser, and how far it is."""

    def __init__(
        self,
        task: Task,
        config: LoopConfig,
        out: Path,
        ranks: Ranks,
        groups: list[dict[str, object]] | None,
        after_step: Callable[[float], None] | None = None,
        origin: Origin | None = None,
    ) -> None:
        self.task, self.config, self.ranks, self.after_step = task, config, ranks, after_step
        self.origin = origin or Origin()
        out.mkdir(parents=True, exist_ok=True)
        self.checkpoint, self.log_path = out / "checkpoint.safetensors", out / "log.jsonl"
        self.device = pick_device(config.device)
        self.model = task.model.to(self.device)
        self.average = AveragedModel(copy.deepcopy(self.model), multi_avg_fn=averaging(config))
        groups = parameter_groups(self.model, config.weight_decay) if groups is None else groups
        self.optimizer = torch.optim.AdamW(groups, lr=config.learning_rate, weight_decay=config.weight_decay)
        scaled = config.amp and config.amp_dtype == "float16"
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=scaled)
        self.resumed = self.checkpoint.exists()
        self.step, spent = 0, 0.0
        if self.resumed:
            self.origin.check(self.checkpoint)
            self.step = load_checkpoint(
                self.checkpoint, self.model, self.average, self.optimizer, self.scaler
            )
            spent = seconds_logged(self.log_path, self.step)
        if ranks.is_main:
            forget_after(self.log_path, self.step)
        self.learner = shared_out(
            Learner(task), self.device, ranks
        )  # waits until all have looked for a checkpoint
        self.board = (
            open_board(out / "tensorboard", self.step) if config.tensorboard and ranks.is_main else None
        )
        self.began = time.monotonic() - spent
        self.rate, self.fresh = 0.0, True
        self.metrics: dict[str, float] = {}
        self.sums: dict[str, float] = {}
        self.model.train()

    def take(self, batch: Batch) -> bool:
        """One step; False, and nothing done, where the run is over."""
        config = self.config
        if self.fresh:
            self.set_generators()
        done = self.ranks.agreed(self.done()) if config.minutes else self.done()
        if done >= 1:
            return False
        if done >= config.freeze_norms:
            freeze_norms(self.model)
        self.rate = schedule(config, self.step, done)
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate * group.get("scale", 1.0)
        batch = {name: value.to(self.device, non_blocking=True) for name, value in batch.items()}
        with torch.autocast(self.device.type, getattr(torch, config.amp_dtype), enabled=config.amp):
            loss, parts = self.learner(batch)
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()
        self.scaler.unscale_(self.optimizer)
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), config.clip or math.inf)
        self.check(loss, norm)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        if self.after_step is not None:
            self.after_step(done)
        if torch.isfinite(norm):
            self.average.update_parameters(self.model)
        self.step += 1
        for name, value in {**parts, "norm": float(norm.nan_to_num(0.0, 0.0))}.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
        return True

    def done(self) -> float:
        """The share of the run that is behind it, by steps or by the clock, whichever is more."""
        minutes = (time.monotonic() - self.began) / 60
        return max(
            self.step / self.config.steps, minutes / self.config.minutes if self.config.minutes else 0.0
        )

    def set_generators(self) -> None:
        """As they were at the checkpoint, once the loaders have started, which draw from them too."""
        self.fresh = False
        if not self.ranks.is_main:
            torch.manual_seed(
                self.step * self.ranks.world + self.ranks.rank
            )  # or all would drop out the same
        elif self.resumed:
            restore_generators(self.checkpoint)

    def check(self, loss: Tensor, norm: Tensor) -> None:
        """A gradient that is no number ends the run; a scaled loss that overflowed is scaled less instead."""
        if torch.isfinite(norm):
            return
        if self.scaler.is_enabled() and torch.isfinite(loss) and self.scaler.get_scale() > LEAST_SCALE:
            return
        raise TrainingError(
            f"the gradient at step {self.step} is {norm.item()}",
            f"lower the learning rate ({self.config.learning_rate}) or resume from {self.checkpoint}",
        )

    def log(self) -> dict[str, float]:
        """A line of means since the last one, with a validation where one is due."""
        config = self.config
        totals, self.sums = self.ranks.mean(self.sums), {}
        means = {name: round(value / config.log_every, 5) for name, value in totals.items()}
        seconds = round(time.monotonic() - self.began, 1)
        line = {"step": self.step, "seconds": seconds, "rate": self.rate, **means}
        if not self.ranks.is_main:
            return line
        if config.validate_every and self.step % config.validate_every == 0:
            self.metrics = validate(self.task, self.average)
            line.update(self.metrics)
        with self.log_path.open("a") as log:
            log.write(json.dumps(line) + "\n")
        if self.board is not None:
            write_line(self.board, line)
        return line

    def save(self) -> None:
        """A checkpoint; what goes on after it is as if there had been none."""
        if self.ranks.is_main:
            about = self.origin.metadata()
            state = self.model, self.average, self.optimizer, self.step, self.scaler
            save_checkpoint(self.checkpoint, *state, about)

    def result(self) -> Result:
        """The averaged weights, validated, on the CPU."""
        if self.board is not None:
            self.board.close()
        if self.ranks.is_main:
            self.metrics = validate(self.task, self.average)
        self.ranks.wait()
        best = self.average.module.to("cpu")
        best.eval()
        return Result(self.step, time.monotonic() - self.began, self.checkpoint, best, self.metrics)


def freeze_norms(model: nn.Module) -> None:
    """Batch norms use their running statistics from now on: the model learns with what it will be run with.

    Template and search crops share norms but differ in statistics, so batch statistics flatter a tracker.
    """
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()


def validate(task: Task, average: AveragedModel) -> dict[str, float]:
    """The quality of the averaged weights."""
    average.module.eval()
    with torch.no_grad(), alone():
        return task.validate(average.module)


def lines_of(path: Path, step: int) -> list[str]:
    """The lines of a log up to a step; none without one. Lines cut short are passed over."""
    kept = []
    for text in path.read_text().splitlines() if path.exists() else ():
        try:
            line = json.loads(text)
        except json.JSONDecodeError:
            continue
        if line["step"] <= step:
            kept.append(text)
    return kept


def seconds_logged(path: Path, step: int) -> float:
    """Seconds of training behind a step, by the log; 0 without one."""
    lines = lines_of(path, step)
    return float(json.loads(lines[-1])["seconds"]) if lines else 0.0


def forget_after(path: Path, step: int) -> None:
    """Takes out of a log what lies behind a step, and lines cut short: those steps are done again."""
    if path.exists():
        partial = path.with_suffix(".partial")
        partial.write_text("".join(f"{text}\n" for text in lines_of(path, step)))
        partial.replace(path)
