"""RSST: what Refill would cut is first pulled towards zero, ever harder over a round, and only then cut.

The pull is ``w ← (1 - λ) · w`` after each step of the optimiser, and not ``grad += λ · w`` before it: AdamW
divides a gradient by its own running size, so the latter would move each weight by about the learning rate
whatever λ is, and the moments of all weights would be those of the pull. See decision 0023.

``λ(p) = R / (e - 1) · (exp(p⁴) - 1)`` with p from 0 to 1 over the **whole** round; that is "exponents", of
which 4 is the default. The others are ``R · p`` ("linear") and R ("constant"). Over n steps the pull alone
leaves exp(-0.158 · n · R) of a weight by the first, exp(-0.5 · n · R) by the second.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from .groups import Group, Kept, masked
from .importance import fades

SCHEDULES = ("exponents", "linear", "constant")


def pull_at(done: float, most: float, schedule: str = "exponents", exponent: float = 4.0) -> float:
    """λ where ``done`` (0 to 1) of a round is behind us; ``most`` is R, reached at its end."""
    if schedule == "constant":
        return most
    if schedule == "linear":
        return most * done
    return most / (math.e - 1) * (math.exp(done**exponent) - 1)


def targets_of(model: nn.Module, groups: Sequence[Group], kept: Kept) -> dict[str, Tensor]:
    """By parameter, true where a unit that does not stay has its places; without how fast units forget."""
    ones = {name: torch.ones_like(value) for name, value in model.state_dict().items()}
    gone = {name: value == 0 for name, value in masked(ones, groups, kept).items()}
    return {
        name: gone[name] for name, _ in model.named_parameters() if fades(name) and bool(gone[name].any())
    }


@dataclass
class Pull:
    """What to do after each step of a round: see the module."""

    model: nn.Module
    targets: dict[str, Tensor]
    most: float
    schedule: str = "exponents"
    exponent: float = 4.0
    _ones: dict[str, Tensor] = field(default_factory=dict, init=False)

    @torch.no_grad()
    def __call__(self, done: float) -> None:
        """``done`` is the share of the round behind us."""
        shrink = pull_at(done, self.most, self.schedule, self.exponent)
        parameters = dict(self.model.named_parameters())
        for name, targeted in self.targets.items():
            value = parameters[name]
            if name not in self._ones:  # by now the model is where it is trained
                self._ones[name] = targeted.to(value.device, value.dtype)
            value.mul_(1 - shrink * self._ones[name])


def norms(model: nn.Module, targets: dict[str, Tensor]) -> tuple[float, float]:
    """L2 norms of what is targeted, and of everything else in the same parameters."""
    parameters = dict(model.named_parameters())
    inside = outside = 0.0
    for name, targeted in targets.items():
        squares = parameters[name].detach().float().square().cpu()
        chosen = targeted.cpu()
        inside += float(squares[chosen].sum())
        outside += float(squares[~chosen].sum())
    return math.sqrt(inside), math.sqrt(outside)
