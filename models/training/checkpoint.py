"""Training state on disk, one safetensors file: weights, their average, the optimiser's moments, generators.

Written to a temporary name and renamed, so an interrupted save leaves the previous checkpoint whole.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ...errors import TrainingError
from ..registry import misfits_of

MOMENTS = ("exp_avg", "exp_avg_sq")


def save_checkpoint(
    path: Path,
    model: nn.Module,
    average: nn.Module,
    optimizer: torch.optim.AdamW,
    step: int,
    scaler: torch.amp.GradScaler | None = None,
    about: Mapping[str, str] | None = None,
) -> None:
    """Writes all that is needed to go on after ``step`` steps as if nothing had happened, and ``about``.

    The generators are read now: nothing may be drawn from them between this and the next step.
    """
    tensors: dict[str, Tensor] = {"step": torch.tensor(step), **generators()}
    if scaler is not None and scaler.is_enabled():
        tensors |= {f"scaler.{key}": torch.tensor(value) for key, value in scaler.state_dict().items()}
    for prefix, module in (("model", model), ("average", average)):
        tensors.update({f"{prefix}.{name}": value for name, value in module.state_dict().items()})
    for name, parameter in model.named_parameters():
        for key, value in optimizer.state.get(parameter, {}).items():
            tensors[f"optimizer.{key}.{name}"] = torch.as_tensor(value)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".partial")
    save_file(
        {name: value.detach().contiguous().clone() for name, value in tensors.items()},
        temporary,
        dict(about or {}),
    )
    os.replace(temporary, path)


def generators() -> dict[str, Tensor]:
    """The states of PyTorch's generators by name: what dropout and its like draw from."""
    found = {"generator.cpu": torch.get_rng_state()}
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        found["generator.cuda"] = torch.cuda.get_rng_state()
    return found


def restore_generators(path: Path) -> None:
    """Sets PyTorch's generators as they were at a checkpoint that has been loaded; one of before has none."""
    with safe_open(path, "pt") as file:
        names = set(file.keys())
        if "generator.cpu" in names:
            torch.set_rng_state(file.get_tensor("generator.cpu"))
        if "generator.cuda" in names and torch.cuda.is_available():
            torch.cuda.set_rng_state(file.get_tensor("generator.cuda"))


def load_checkpoint(
    path: Path,
    model: nn.Module,
    average: nn.Module,
    optimizer: torch.optim.AdamW,
    scaler: torch.amp.GradScaler | None = None,
) -> int:
    """Restores everything but the generators in place and returns the number of steps done.

    Raises TrainingError when the file cannot be read or does not fit.
    """
    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise TrainingError(
            f"checkpoint {path} cannot be read ({error})", "delete it to start anew"
        ) from error
    try:
        for prefix, module in (("model", model), ("average", average)):
            start = len(prefix) + 1
            found = {k[start:]: v for k, v in tensors.items() if k.startswith(prefix + ".")}
            if misfits := misfits_of(module.state_dict(), found):
                raise KeyError(misfits)
            module.load_state_dict(found)
        for name, parameter in model.named_parameters():
            state = {key: tensors.get(f"optimizer.{key}.{name}") for key in ("step", *MOMENTS)}
            optimizer.state[parameter] = {
                # laid out as the parameter is, so that the optimiser goes the same way as without the stop
                key: torch.empty_like(parameter).copy_(value) if key in MOMENTS else value
                for key, value in state.items()
                if value is not None
            }
        if scaler is not None and scaler.is_enabled() and "scaler.scale" in tensors:
            kept = {
                key.removeprefix("scaler."): tensors[key].item() for key in tensors if key[:7] == "scaler."
            }
            scaler.load_state_dict(kept)
    except (KeyError, RuntimeError) as error:
        raise TrainingError(
            f"checkpoint {path} does not fit the recipe's model ({error.args[0]})",
            "resume with the recipe it was made by",
        ) from error
    return int(tensors["step"])
