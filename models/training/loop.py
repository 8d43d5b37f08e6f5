"""One training loop for every model: AMP, EMA, warm-up and cosine, clipping, log, checkpoints, resume."""

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
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from ...errors import OptionError, TrainingError
from .checkpoint import load_checkpoint, save_checkpoint

Batch = dict[str, Tensor]
WARMUPS = ("linear", "exponential")


@dataclass(frozen=True)
class LoopConfig:
    """How to optimise. ``minutes`` ends a run early by the clock; the schedule then follows time."""

    steps: int
    learning_rate: float = 1e-3
    weight_decay: float = 0.02
    warmup_steps: int = 300
    warmup: str = "linear"  # or "exponential": steep at first, then flatter
    final_share: float = 0.02  # of the learning rate, at the end of the cosine
    clip: float = 1.0  # norm of the whole gradient; 0 leaves it as it is
    ema: float = 0.999
    ema_ramp: bool = False  # after n steps the average's decay is at most (1 + n) / (10 + n)
    freeze_norms: float = 1.0  # share of the run after which batch norms keep their statistics, as in use
    amp: bool = False  # bfloat16 autocast
    minutes: float = 0.0
    save_every: int = 500
    log_every: int = 50
    validate_every: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "save_every", "log_every"):
            if getattr(self, name) < 1:
                raise OptionError(f"{name} is {getattr(self, name)}", "give at least 1 step")
        if self.warmup not in WARMUPS:
            raise OptionError(f"warmup is {self.warmup!r}", f"choose one of {', '.join(WARMUPS)}")


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


def schedule(config: LoopConfig, step: int, done: float) -> float:
    """The learning rate at a step; ``done`` is the share of the run behind us, 0 to 1."""
    if step < config.warmup_steps:
        part = (step + 1) / config.warmup_steps
        if config.warmup == "exponential":
            part = (1 - math.exp(-5 * part)) / (1 - math.exp(-5))
        return config.learning_rate * part
    low = config.final_share
    return config.learning_rate * (low + (1 - low) * 0.5 * (1 + math.cos(math.pi * min(done, 1.0))))


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, object]]:
    """Weight matrices decay; biases, norms, decay rates and other vectors do not.

    Every parameter is in exactly one of the two groups.
    """
    decayed = [p for p in model.parameters() if p.dim() >= 2]
    plain = [p for p in model.parameters() if p.dim() < 2]
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": plain, "weight_decay": 0.0}]


def averaging(config: LoopConfig) -> Callable[..., None]:
    """How the weights' moving average takes in new ones: at a fixed decay, or one that ramps up to it.

    A decay of 0.9999 remembers 10,000 steps; without the ramp a shorter run would be its own first weights.
    """
    fixed: Callable[..., None] = get_ema_multi_avg_fn(config.ema)
    if not config.ema_ramp:
        return fixed

    def update(averages: list[Tensor], weights: list[Tensor], count: Tensor | int) -> None:
        n = int(count)
        get_ema_multi_avg_fn(min(config.ema, (1 + n) / (10 + n)))(averages, weights, count)

    return update


def train(
    task: Task,
    config: LoopConfig,
    out: Path,
    progress: Callable[[int, dict[str, float]], None] | None = None,
    groups: list[dict[str, object]] | None = None,
) -> Result:
    """Trains, resuming from ``out/checkpoint.safetensors`` when it is there; appends to ``out/log.jsonl``.

    ``groups`` are AdamW's parameter groups, by default ``parameter_groups``; one with a ``scale`` learns at
    that share of the rate.

    Raises TrainingError when a loss is not finite (the last checkpoint stays) or a checkpoint does not fit.
    """
    out.mkdir(parents=True, exist_ok=True)
    checkpoint, log_path = out / "checkpoint.safetensors", out / "log.jsonl"
    model = task.model
    average = AveragedModel(copy.deepcopy(model), multi_avg_fn=averaging(config))
    groups = parameter_groups(model, config.weight_decay) if groups is None else groups
    optimizer = torch.optim.AdamW(groups, lr=config.learning_rate, weight_decay=config.weight_decay)
    step, spent = 0, 0.0
    if checkpoint.exists():
        step = load_checkpoint(checkpoint, model, average, optimizer)
        spent = seconds_logged(log_path, step)
    began = time.monotonic() - spent
    metrics: dict[str, float] = {}
    sums: dict[str, float] = {}
    model.train()
    for batch in task.batches(step):
        elapsed = time.monotonic() - began
        done = max(step / config.steps, elapsed / (60 * config.minutes) if config.minutes else 0.0)
        if done >= 1:
            break
        if done >= config.freeze_norms:
            freeze_norms(model)
        rate = schedule(config, step, done)
        for group in optimizer.param_groups:
            group["lr"] = rate * group.get("scale", 1.0)
        device = next(model.parameters()).device.type
        with torch.autocast(device, torch.bfloat16, enabled=config.amp):
            loss, parts = task.loss(batch)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        norm = nn.utils.clip_grad_norm_(model.parameters(), config.clip or math.inf)
        if not torch.isfinite(norm):
            raise TrainingError(
                f"the gradient at step {step} is {norm.item()}",
                f"lower the learning rate ({config.learning_rate}) or resume from {checkpoint}",
            )
        optimizer.step()
        average.update_parameters(model)
        step += 1
        for name, value in {**parts, "norm": float(norm)}.items():
            sums[name] = sums.get(name, 0.0) + value
        if step % config.log_every == 0:
            means = {name: round(value / config.log_every, 5) for name, value in sums.items()}
            sums = {}
            line = {"step": step, "seconds": round(time.monotonic() - began, 1), "rate": rate, **means}
            if config.validate_every and step % config.validate_every == 0:
                metrics = validate(task, average)
                line.update(metrics)
            with log_path.open("a") as log:
                log.write(json.dumps(line) + "\n")
            if progress:
                progress(step, line)
        if step % config.save_every == 0:
            save_checkpoint(checkpoint, model, average, optimizer, step)
    save_checkpoint(checkpoint, model, average, optimizer, step)
    metrics = validate(task, average)
    best = average.module
    best.eval()
    return Result(step, time.monotonic() - began, checkpoint, best, metrics)


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
    with torch.no_grad():
        return task.validate(average.module)


def seconds_logged(path: Path, step: int) -> float:
    """Seconds of training behind a step, by the log; 0 without one. Lines cut short are passed over."""
    seconds = 0.0
    for text in path.read_text().splitlines() if path.exists() else ():
        try:
            line = json.loads(text)
        except json.JSONDecodeError:
            continue
        if line["step"] <= step:
            seconds = float(line["seconds"])
    return seconds
