"""Weights of the published ViL-S (first version, ``vil-small``) as the start of a tracker.

Source: NX-AI/vision-lstm. Their checkpoint (the tensors under "state_dict") and the form in which their model
is loaded name the same tensors differently; both are read. Norms are stored there as what is added to 1.
Files are read as safetensors, or as PyTorch's own by its restricted unpickler, which runs nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from ...errors import DataError, OptionError
from ..weight_files import read_published
from .model import VilTracker

IN_BLOCK = {
    "proj_up.weight": "mixer.proj_up.weight",
    "q_proj.weight": "mixer.q_proj.weight",
    "k_proj.weight": "mixer.k_proj.weight",
    "v_proj.weight": "mixer.v_proj.weight",
    "conv1d.conv.weight": "mixer.conv_weight",
    "conv1d.conv.bias": "mixer.conv_bias",
    "mlstm_cell.igate.weight": "mixer.input_gate.weight",
    "mlstm_cell.igate.bias": "mixer.input_gate.bias",
    "mlstm_cell.fgate.weight": "mixer.forget_gate.weight",
    "mlstm_cell.fgate.bias": "mixer.forget_gate.bias",
    "mlstm_cell.outnorm.weight": "mixer.out_norm",
    "learnable_skip": "mixer.skip",
    "proj_down.weight": "mixer.proj_down.weight",
}
AROUND = {
    "patch_embed.proj.weight": "patch.weight",
    "patch_embed.proj.bias": "patch.bias",
    "post_blocks_norm.weight": "norm.weight",  # in the checkpoint
    "legacy_norm.weight": "norm.weight",  # in the loaded model
}
CLASSIFIER = ("head.0.weight", "head.0.bias", "head.1.weight", "head.1.bias")
CLASSIFIER_LOADED = ("norm.weight", "norm.bias", "head.weight", "head.bias")
POSITION = "pos_embed.embed"
LESS_ONE = ("mixer.out_norm", "norm.weight")


@dataclass(frozen=True)
class Accounting:
    """Where every tensor went: names of the tracker that were loaded or start afresh, of the file unused."""

    loaded: tuple[str, ...]
    fresh: tuple[str, ...]
    unused: tuple[str, ...]


def load_official(model: VilTracker, tensors: Mapping[str, Tensor]) -> Accounting:
    """Loads published weights into a tracker's patches, positions, blocks and last norm.

    Raises:
        OptionError: the tracker's blocks are not those of the weights.
        DataError: a tensor is missing, unknown or of another shape; nothing was loaded.
    """
    if model.config.block != "silu":
        raise OptionError(
            f"the tracker's block is {model.config.block!r}, the published weights are for 'silu'",
            'set block = "silu"',
        )
    found, unused, unknown = translated(tensors, model)
    own = model.state_dict()
    wanted = {name for name in own if name.startswith(("blocks.", "patch."))}
    wanted |= {"norm.weight", "template_position", "search_position"}
    missing = sorted(wanted - set(found))
    wrong = sorted(name for name in found if name in own and found[name].shape != own[name].shape)
    strange = sorted({*unknown, *(set(found) - wanted)})
    if missing or wrong or strange:
        listed = "; ".join(
            f"{label}: {', '.join(names[:4])}{' …' if len(names) > 4 else ''}"
            for label, names in (("missing", missing), ("of another shape", wrong), ("unknown", strange))
            if names
        )
        raise DataError(
            f"these are not weights of a ViL of {model.config.layers} layers and {model.config.dim} "
            f"channels ({listed})",
            "give the first version's vil-small, or change the model's sizes",
        )
    model.load_state_dict({**own, **found})
    return Accounting(tuple(sorted(found)), tuple(sorted(set(own) - set(found))), tuple(sorted(unused)))


def read_official(model: VilTracker, path: Path) -> Accounting:
    """``load_official`` from a file. Raises DataError when it cannot be read, or holds no tensors by name."""
    remedy = "give the published checkpoint of vil-small, or its state_dict as safetensors"
    return load_official(model, read_published(path, remedy, entry="state_dict"))


def translated(
    tensors: Mapping[str, Tensor], model: VilTracker
) -> tuple[dict[str, Tensor], list[str], list[str]]:
    """Tensors by the tracker's own names, the names that it has no use for, and those that nobody knows."""
    found: dict[str, Tensor] = {}
    unused, unknown = [], []
    classifier = CLASSIFIER if "head.1.weight" in tensors else CLASSIFIER_LOADED
    for given, tensor in tensors.items():
        name = given.removeprefix("xlstm.")
        if name in classifier or name.endswith("causal_mask"):  # the mask is a constant of old checkpoints
            unused.append(given)
        elif name == POSITION and tensor.dim() == 4:
            found["template_position"] = resampled(tensor, model.config.template_grid)
            found["search_position"] = resampled(tensor, model.config.search_grid)
        else:
            ours = own_name(name)
            if ours is None:
                unknown.append(given)
                continue
            value = tensor.squeeze(1) if ours.endswith("conv_weight") and tensor.dim() == 3 else tensor
            found[ours] = value + 1 if ours.endswith(LESS_ONE) else value
    return found, unused, unknown


def own_name(name: str) -> str | None:
    """The tracker's name of a published tensor (without the leading "xlstm."), or None."""
    match = re.fullmatch(r"blocks\.(\d+)\.(.+)", name)
    if match is None:
        return AROUND.get(name)
    block, rest = match.groups()
    if rest in ("xlstm_norm.weight", "norm.weight"):
        return f"blocks.{block}.norm.weight"
    part = IN_BLOCK.get(rest.removeprefix("xlstm.").removeprefix("layer."))
    return None if part is None else f"blocks.{block}.{part}"


def resampled(positions: Tensor, grid: int) -> Tensor:
    """Positions (1, H, W, dim) of another grid as (1, grid², dim)."""
    planes = positions.permute(0, 3, 1, 2).float()
    planes = functional.interpolate(planes, size=(grid, grid), mode="bicubic", align_corners=False)
    return planes.flatten(2).transpose(1, 2).contiguous().to(torch.float32)
