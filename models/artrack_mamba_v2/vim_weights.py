"""Official weights of Vision Mamba (hustvl/Vim) into a tracker of the same width, every tensor accounted for.

Layout read (bidirectional "v2" checkpoints, such as Vim-Ti and Vim-S): ``cls_token``, ``pos_embed``,
``patch_embed.proj``, ``layers.<i>.norm``, ``layers.<i>.mixer.`` ``in_proj``, ``out_proj``, and for each
direction ``conv1d``, ``x_proj``, ``dt_proj`` (``conv1d_b`` …), ``A_log``, ``D`` (``A_b_log``, ``D_b``),
``norm_f``, ``head``. A class token stands in the middle of the patches unless said otherwise.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from ...errors import DataError
from ..weight_files import read_published
from .attention import Attention
from .blocks import Block
from .mixers import Mamba1Direction, Mixer
from .model import ArtrackMambaV2

ClassToken = Literal["middle", "first"]
_LAYOUT = "give a bidirectional (v2) checkpoint of hustvl/Vim whose width is the model's"


@dataclass
class VimReport:
    """What became of the weights.

    Attributes:
        loaded: of the model's tensors, where each came from.
        unused: of the checkpoint's tensors, why each was not taken.
        fresh: the model's tensors that the checkpoint says nothing of.
    """

    loaded: dict[str, str] = field(default_factory=dict)
    unused: dict[str, str] = field(default_factory=dict)
    fresh: list[str] = field(default_factory=list)

    @property
    def summary(self) -> str:
        """One line for people."""
        reasons = sorted(set(self.unused.values()))
        return (
            f"{len(self.loaded)} tensors start from Vim, {len(self.fresh)} afresh; {len(self.unused)} of "
            f"Vim's are not used ({'; '.join(reasons) or 'none'})"
        )


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """The tensors of a ``.safetensors`` file, or of a checkpoint of PyTorch (of its entry ``model``, if any).

    A checkpoint is read with PyTorch's restricted unpickler: it can hold tensors and plain values, no code.

    Raises:
        DataError: it cannot be read, or holds no tensors by name.
    """
    options = (argparse.Namespace,)  # of the run, which stand beside them
    return read_published(path, _LAYOUT, entry="model", classes=options)


def load_vim(
    model: ArtrackMambaV2, weights: Mapping[str, Tensor], *, class_token: ClassToken = "middle"
) -> VimReport:
    """Copies what fits into the model, in place, or nothing at all.

    Raises:
        DataError: a tensor of the layout is missing or of another shape, or one is not of the layout.
    """
    loader = _Loader(dict(weights))
    tokens, config = model.tokens, model.config
    loader.copy("patch_embed.proj.weight", "tokens.patch_embed.weight", tokens.patch_embed.weight)
    assert tokens.patch_embed.bias is not None
    loader.copy("patch_embed.proj.bias", "tokens.patch_embed.bias", tokens.patch_embed.bias)
    if tokens.learned:
        grids = {"template": config.template_grid, "search": config.search_grid}
        if config.dynamic:
            grids["dynamic"] = config.template_grid
        for name, grid in grids.items():
            parameter = getattr(tokens, f"{name}_position")
            position = resized(loader.look("pos_embed"), grid, class_token)
            loader.put("pos_embed", f"tokens.{name}_position", parameter, position)
        loader.take("pos_embed")
    else:
        loader.skip("pos_embed", "positions are rotary")
    for index, block in enumerate(model.blocks):
        assert isinstance(block, Block)
        _load_layer(loader, block, f"layers.{index}", f"blocks.{index}")
    loader.copy("norm_f.weight", "norm.weight", model.norm.weight)
    for name in [name for name in loader.left if name.startswith(("cls_token", "head."))]:
        loader.skip(name, "a tracker has no classes")
    for name in [name for name in loader.left if name.startswith("layers.")]:
        place = name.split(".")[1]
        if place.isdecimal() and int(place) >= config.layers:
            loader.skip(name, f"the model has {config.layers} layers")
    if loader.left:
        raise DataError(f"tensor {min(loader.left)} is not of Vim's layout", _LAYOUT)
    with torch.no_grad():
        for parameter, value in loader.puts:
            parameter.copy_(value)
    loader.report.fresh = sorted({name for name, _ in model.named_parameters()} - set(loader.report.loaded))
    return loader.report


class _Loader:
    """The tensors not yet accounted for, and what shall be copied once all of them are."""

    def __init__(self, left: dict[str, Tensor]) -> None:
        self.left = left
        self.puts: list[tuple[Tensor, Tensor]] = []
        self.report = VimReport()

    def look(self, name: str) -> Tensor:
        """A tensor, which stays to be accounted for. Raises DataError."""
        if name not in self.left:
            raise DataError(f"tensor {name} is missing", _LAYOUT)
        return self.left[name].detach().float()

    def take(self, name: str) -> Tensor:
        """A tensor, accounted for. Raises DataError."""
        value = self.look(name)
        del self.left[name]
        return value

    def put(self, theirs: str, ours: str, parameter: Tensor, value: Tensor) -> None:
        """Notes a copy. Raises DataError when the shapes differ."""
        if value.shape != parameter.shape:
            raise DataError(
                f"tensor {theirs} makes {tuple(value.shape)} of {ours}, which is {tuple(parameter.shape)}",
                _LAYOUT,
            )
        self.puts.append((parameter, value))
        self.report.loaded[ours] = theirs

    def copy(self, theirs: str, ours: str, parameter: Tensor) -> None:
        """Takes a tensor as it is."""
        self.put(theirs, ours, parameter, self.take(theirs))

    def skip(self, name: str, why: str) -> None:
        """Accounts for a tensor that is not used."""
        self.take(name)
        self.report.unused[name] = why


def _load_layer(loader: _Loader, block: Block, theirs: str, ours: str) -> None:
    loader.copy(f"{theirs}.norm.weight", f"{ours}.norm.weight", block.norm.weight)
    mixer, prefix = block.mixer, f"{theirs}.mixer."
    if isinstance(mixer, Attention):
        for name in [name for name in loader.left if name.startswith(prefix)]:
            loader.skip(name, f"layer {block.index} attends")
        return
    loader.copy(f"{prefix}out_proj.weight", f"{ours}.mixer.out_proj.weight", mixer.out_proj.weight)
    if block.config.mixer == "mamba1":
        loader.copy(f"{prefix}in_proj.weight", f"{ours}.mixer.in_proj.weight", mixer.in_proj.weight)
        _load_directions(loader, mixer, prefix, f"{ours}.mixer")
        left = "the layer scans one way only"
    else:
        left = "Mamba-2 has no such tensor"
    for name in [name for name in loader.left if name.startswith(prefix)]:
        loader.skip(name, left)


def _load_directions(loader: _Loader, mixer: Mixer, prefix: str, ours: str) -> None:
    for place, (way, reverse) in enumerate(zip(mixer.ways, mixer.reverses, strict=True)):
        assert isinstance(way, Mamba1Direction)
        end, here = ("_b" if reverse else ""), f"{ours}.ways.{place}"
        conv = loader.take(f"{prefix}conv1d{end}.weight")
        loader.put(
            f"{prefix}conv1d{end}.weight",
            f"{here}.conv_weight",
            way.conv_weight,
            fit_taps(conv.squeeze(1), mixer.config.conv_taps),
        )
        loader.copy(f"{prefix}conv1d{end}.bias", f"{here}.conv_bias", way.conv_bias)
        loader.copy(f"{prefix}x_proj{end}.weight", f"{here}.x_proj.weight", way.x_proj.weight)
        loader.copy(f"{prefix}dt_proj{end}.weight", f"{here}.dt_proj.weight", way.dt_proj.weight)
        loader.copy(f"{prefix}dt_proj{end}.bias", f"{here}.dt_proj.bias", way.dt_proj.bias)
        loader.copy(f"{prefix}{'A_b_log' if reverse else 'A_log'}", f"{here}.a_log", way.a_log)
        loader.copy(f"{prefix}D{end}", f"{here}.d_skip", way.d_skip)


def fit_taps(weight: Tensor, taps: int) -> Tensor:
    """Filters (channels, K) with the current step last, as (channels, taps): the newest, or zeros before."""
    have = weight.shape[-1]
    return weight[:, -taps:] if taps <= have else functional.pad(weight, (taps - have, 0))


def resized(position: Tensor, grid: int, class_token: ClassToken) -> Tensor:
    """(1, patches (+ 1), C) positions as (grid², C), the class token's left out. Raises DataError."""
    if position.dim() != 3:
        raise DataError(f"pos_embed has shape {tuple(position.shape)}", _LAYOUT)
    flat = position[0]
    if math.isqrt(len(flat)) ** 2 != len(flat):
        place = (len(flat) - 1) // 2 if class_token == "middle" else 0
        flat = torch.cat([flat[:place], flat[place + 1 :]])
    side = math.isqrt(len(flat))
    if side * side != len(flat) or not side:
        raise DataError(f"pos_embed has {position.shape[1]} places, which make no square", _LAYOUT)
    square = flat.t().reshape(1, -1, side, side)
    if side != grid:
        square = functional.interpolate(square, size=(grid, grid), mode="bicubic", align_corners=False)
    return square.flatten(2)[0].t()
