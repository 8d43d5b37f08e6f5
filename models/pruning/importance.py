"""How much each unit of a group counts: by its weights, what a mask left of them, features, or the loss.

Scores are summed over all the places of a unit, so they rank units of one group; they say nothing between
groups. Weights are matrices and convolutions: biases, norms and decay rates have no size that matters here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from ..training.loop import Batch, Task
from .groups import Group, Places, Weights

Scores = dict[str, Tensor]
"""By the name of a group: (units,) numbers, higher ones counting more."""

RANKINGS = ("magnitude", "remaining", "features", "saliency")
DECAYS = ("a_log", "dt_bias", "dt_proj.bias", "carry_logit", "gate.bias")
"""How fast a unit forgets: with these at zero it would not be gone."""


def fades(name: str) -> bool:
    """Whether a unit is the less there, the smaller its places in the parameter of this name are."""
    return not name.endswith(DECAYS)


def weighty(name: str, value: Tensor) -> bool:
    """Whether a tensor is one whose size says what a unit counts."""
    return value.dim() >= 2 and fades(name)


def places_of(group: Group, weights: Weights) -> list[Places]:
    """The places of a group that lie in weights."""
    return [
        places
        for places in group.places
        if places.tensor in weights and weighty(places.tensor, weights[places.tensor])
    ]


def magnitude(weights: Weights, groups: Sequence[Group]) -> Scores:
    """The L2 norm of a unit's weights."""
    return {
        group.name: sum_of(group, {name: value.square() for name, value in weights.items()}).sqrt()
        for group in groups
    }


def remaining(masks: Mapping[str, Tensor], weights: Weights, groups: Sequence[Group]) -> Scores:
    """How many of a unit's weights a mask of single weights keeps; those without a mask are all kept."""
    kept = {
        name: masks[name].to(torch.float32) if name in masks else torch.ones_like(value, dtype=torch.float32)
        for name, value in weights.items()
    }
    return {group.name: sum_of(group, kept) for group in groups}


def saliency(task: Task, groups: Sequence[Group], batches: int) -> Scores:
    """First-order Taylor: what the loss would change by without a unit, |Σ w · ∂L/∂w|, summed over batches.

    Source: Molchanov et al., "Importance Estimation for Neural Network Pruning", over whole groups.
    """
    totals = {group.name: torch.zeros(group.units) for group in groups}
    parameters = dict(task.model.named_parameters())
    with whole(task.model):
        for batch in first(task, batches):
            task.model.zero_grad(set_to_none=True)
            task.loss(batch)[0].backward()
            changes = {
                name: torch.zeros_like(value) if value.grad is None else value.detach() * value.grad
                for name, value in parameters.items()
            }
            for group in groups:
                totals[group.name] += sum_of(group, changes).abs().cpu()
        task.model.zero_grad(set_to_none=True)
    return totals


def features(task: Task, groups: Sequence[Group], batches: int) -> Scores:
    """The root mean square of a unit's own features over batches, as the last layer that reads it sees them.

    Units that no layer reads as its inputs (states) are measured by what they are made of: the outputs of the
    layers that write them.
    """
    modules = dict(task.model.named_modules())
    watched: dict[str, tuple[nn.Module, list[tuple[Group, Places, bool]]]] = {}
    for group in groups:
        for places, inputs in seen_at(group, modules):
            name = places.tensor.removesuffix(".weight")
            watched.setdefault(name, (modules[name], []))[1].append((group, places, inputs))
    totals = {group.name: torch.zeros(group.units) for group in groups}

    def watch(entries: list[tuple[Group, Places, bool]]) -> object:
        def hook(module: nn.Module, given: tuple[Tensor, ...], output: Tensor) -> None:
            for group, places, inputs in entries:
                seen = channels_first(module, given[0] if inputs else output)
                power = seen.detach().float().square().mean(1)  # of a channel
                rows = torch.tensor(places.rows, device=power.device)
                totals[group.name] += power[rows].sum(1).cpu()

        return hook

    handles = [module.register_forward_hook(watch(entries)) for module, entries in watched.values()]  # type: ignore[arg-type]
    try:
        with whole(task.model), torch.no_grad():
            for batch in first(task, batches):
                task.loss(batch)
    finally:
        for handle in handles:
            handle.remove()
    return {name: (total / batches).sqrt() for name, total in totals.items()}


def seen_at(group: Group, modules: Mapping[str, nn.Module]) -> list[tuple[Places, bool]]:
    """Where features of a group's units pass, and whether as inputs (else as outputs) of the layer there."""

    def layer(places: Places) -> nn.Module | None:
        found = modules.get(places.tensor.removesuffix(".weight"))
        return found if isinstance(found, nn.Linear | nn.Conv2d) else None

    read = [places for places in group.places if places.axis == 1 and layer(places) is not None]
    if read:
        return [(read[-1], True)]
    return [(p, False) for p in group.places if p.axis == 0 and p.within is None and layer(p) is not None]


def channels_first(module: nn.Module, features: Tensor) -> Tensor:
    """Features of a linear layer (B, …, C) or a convolution (B, C, H, W) -> (C, everything else)."""
    axis = 1 if isinstance(module, nn.Conv2d) else -1
    return features.movedim(axis, 0).flatten(1)


def sum_of(group: Group, values: Mapping[str, Tensor]) -> Tensor:
    """(units,) sums of values over the places in weights of each unit."""
    total = torch.zeros(group.units)
    for places in places_of(group, values):
        total = total + places.of(values[places.tensor]).float().sum((1, 2)).cpu()
    return total


def first(task: Task, batches: int) -> Iterable[Batch]:
    """The first batches of a task, on the device of its model."""
    device = next(task.model.parameters()).device
    for number, batch in enumerate(task.batches(0)):
        if number == batches:
            return
        yield {name: value.to(device) for name, value in batch.items()}


@contextmanager
def whole(model: nn.Module) -> Iterator[None]:
    """The model as it is in use, norms and all; its mode afterwards as before."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)
