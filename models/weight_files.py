"""Weights in files: safetensors, and checkpoints of PyTorch, of which tensors are read and no code.

A damaged checkpoint, or one that somebody made up, raises nearly any error within PyTorch's unpickler; here
each of them is one of ours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy.typing as npt
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from ..errors import DataError


def read_weights(
    path: str | Path, remedy: str = "give start the name of a safetensors file"
) -> dict[str, npt.NDArray[Any]]:
    """Every tensor of a safetensors file. Raises DataError, with the remedy, where it cannot be read."""
    try:
        found = load_file(path)
    except (OSError, SafetensorError) as error:
        raise DataError(f"the weights {path} cannot be read ({error})", remedy) from error
    return {name: as_array(tensor) for name, tensor in found.items()}


def as_array(tensor: Tensor) -> npt.NDArray[Any]:
    """A tensor for NumPy, which has no bfloat16: that becomes float32, which holds it exactly."""
    tensor = tensor.detach().cpu().contiguous()
    array: npt.NDArray[Any] = (tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy()
    return array


def read_published(
    path: Path, remedy: str, *, entry: str = "", classes: Sequence[type] = ()
) -> dict[str, Tensor]:
    """The tensors of a safetensors file, or of a checkpoint of PyTorch, by name.

    Args:
        path: the file.
        remedy: what to give in its place.
        entry: where a checkpoint keeps its tensors, if it has such an entry.
        classes: that stand beside the tensors, and whose values are made and left.

    Raises:
        DataError: it cannot be read, or holds something else than tensors by name.
    """
    if path.suffix == ".safetensors":
        return {name: torch.from_numpy(array) for name, array in read_weights(path, remedy).items()}
    try:
        with torch.serialization.safe_globals([*classes]):
            found: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        told = next(iter(str(error).splitlines()), "")[:160] or type(error).__name__
        raise DataError(f"the weights {path} cannot be read ({told})", remedy) from error
    if isinstance(found, Mapping) and isinstance(found.get(entry), Mapping):
        found = found[entry]
    if not isinstance(found, Mapping) or not all(isinstance(value, Tensor) for value in found.values()):
        raise DataError(f"{path} holds no tensors by name", remedy)
    return {str(name): value for name, value in found.items()}
