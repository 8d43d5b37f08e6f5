"""What changes over a run: the learning rate, and how fast the average of the weights forgets."""

from __future__ import annotations

import math
from collections.abc import Callable

from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

from .config import LoopConfig


def schedule(config: LoopConfig, step: int, done: float) -> float:
    """The learning rate at a step; ``done`` is the share of the run behind us, 0 to 1."""
    if step < config.warmup_steps:
        part = (step + 1) / config.warmup_steps
        if config.warmup == "exponential":
            part = (1 - math.exp(-5 * part)) / (1 - math.exp(-5))
        return config.learning_rate * part
    low = config.final_share
    return config.learning_rate * (low + (1 - low) * 0.5 * (1 + math.cos(math.pi * min(done, 1.0))))


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
