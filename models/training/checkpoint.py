"""Training state on disk: weights, their moving average and the optimiser's moments in one safetensors file.

Written to a temporary name and renamed, so an interrupted save leaves the previous checkpoint whole.
"""

from __future__ import annotations

import os
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ...errors import TrainingError

MOMENTS = ("exp_avg", "exp_avg_sq")


def save_checkpoint(
    path: Path, model: nn.Module, average: nn.Module, optimizer: torch.optim.AdamW, step: int
) -> None:
    """Writes all that ``load_checkpoint`` needs to go on after ``step`` steps as if nothing had happened."""
    tensors: dict[str, Tensor] = {"step": torch.tensor(step)}
    for prefix, module in (("model", model), ("average", average)):
        tensors.update({f"{prefix}.{name}": value for name, value in module.state_dict().items()})
    for name, parameter in model.named_parameters():
        for key, value in optimizer.state.get(parameter, {}).items():
            tensors[f"optimizer.{key}.{name}"] = torch.as_tensor(value)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".partial")
    save_file({name: value.detach().contiguous().clone() for name, value in tensors.items()}, temporary)
    os.replace(temporary, path)


def load_checkpoint(path: Path, model: nn.Module, average: nn.Module, optimizer: torch.optim.AdamW) -> int:
    """Restores everything in place and returns the number of steps done.

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
            module.load_state_dict({k[start:]: v for k, v in tensors.items() if k.startswith(prefix + ".")})
        for name, parameter in model.named_parameters():
            found = {key: tensors.get(f"optimizer.{key}.{name}") for key in ("step", *MOMENTS)}
            optimizer.state[parameter] = {
                # laid out as the parameter is, so that the optimiser goes the same way as without the stop
                key: torch.empty_like(parameter).copy_(value) if key in MOMENTS else value
                for key, value in found.items()
                if value is not None
            }
    except (KeyError, RuntimeError) as error:
        raise TrainingError(
            f"checkpoint {path} does not fit the recipe's model ({error})",
            "resume with the recipe it was made by",
        ) from error
    return int(tensors["step"])
