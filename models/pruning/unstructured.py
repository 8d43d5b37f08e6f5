"""Masks of single weights: the smallest of all linear layers and convolutions go, by one threshold.

By themselves they make nothing faster, as a matrix with holes is multiplied like any other; what they leave
says how much of each layer is needed (see ``refill``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ...errors import DataError, OptionError
from .groups import Weights

Masks = dict[str, Tensor]
"""By the name of a weight: true where it stays."""


def layers_of(model: nn.Module) -> tuple[str, ...]:
    """Names of the weights of linear layers and convolutions."""
    return tuple(
        f"{name}.weight"
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d)
    )


def global_masks(weights: Weights, names: Iterable[str], ratio: float) -> Masks:
    """Keeps the largest weights of all the named ones, by one threshold; ``ratio`` of them go.

    Raises OptionError for a ratio that is none, or no names.
    """
    chosen = {name: weights[name].detach().abs().float() for name in names}
    if not 0 <= ratio < 1 or not chosen:
        raise OptionError(f"the ratio is {ratio}, of {len(chosen)} weights", "give 0 to below 1, of some")
    flat = torch.cat([value.flatten() for value in chosen.values()])
    gone = torch.zeros(len(flat), dtype=torch.bool)
    gone[flat.argsort(stable=True)[: round(ratio * len(flat))]] = True
    parts = (~gone).split([value.numel() for value in chosen.values()])
    return {name: part.reshape(chosen[name].shape) for name, part in zip(chosen, parts, strict=True)}


@torch.no_grad()
def apply_masks(model: nn.Module, masks: Mapping[str, Tensor]) -> None:
    """Zeroes what the masks do not keep, in place. Raises OptionError for masks of another model."""
    parameters = dict(model.named_parameters())
    for name, mask in masks.items():
        if name not in parameters or parameters[name].shape != mask.shape:
            raise OptionError(f"the mask of {name} does not fit the model", "give masks that were made of it")
        parameters[name].mul_(mask.to(parameters[name].device))


def sparsity(masks: Mapping[str, Tensor]) -> dict[str, float]:
    """The share of weights that a mask takes, by layer; "all" is over all of them."""
    found = {name: 1 - float(mask.float().mean()) for name, mask in masks.items()}
    count = sum(mask.numel() for mask in masks.values())
    return {**found, "all": 1 - sum(int(mask.sum()) for mask in masks.values()) / count}


def save_masks(path: Path, masks: Mapping[str, Tensor]) -> None:
    """Writes masks as one safetensors file."""
    partial = path.with_suffix(".partial")
    save_file({name: mask.to(torch.bool).contiguous() for name, mask in masks.items()}, partial)
    partial.replace(path)


def load_masks(path: Path) -> Masks:
    """Masks from a file. Raises DataError where it cannot be read, or holds anything else."""
    try:
        masks = load_file(path)
    except (OSError, SafetensorError) as error:
        raise DataError(f"masks {path} cannot be read ({error})", "give a file of save_masks") from error
    wrong = [name for name, mask in masks.items() if mask.dtype != torch.bool]
    if wrong:
        raise DataError(f"{wrong[0]} in {path} is no mask", "give a file of save_masks")
    return masks
