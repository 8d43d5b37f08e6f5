"""A centre head's answer within the graph: the best cell's nine numbers a frame, in place of four maps.

What ``engine/tracking/best_cell.py`` does on the host, for every row at once and in float32, so that a device
gives back 36 bytes a frame. It is an ending of a model's ``step``, chosen by the spec: no weight changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ..bundles import ModelSpec, TensorSpec

DECODE = "cell"
"""As ``preprocess.decode`` of a spec names it."""
BELIEF = TensorSpec("belief", "float32", ("batch", 4))
"""What ``step`` is told: width and height before, as shares of the crop's side; strength of the penalty for a
change of them, and weight of the window."""
CELL = TensorSpec("cell", "float32", ("batch", 9))
"""What it gives: score; centre, width and height as shares of the crop's side; their four log variances."""
MAPS = ("score", "offset", "size", "log_variance")
LEAST_SIDE = 1e-3


def fits(spec: ModelSpec) -> bool:
    """Whether a model is a tracker whose ``step`` gives the maps of a centre head."""
    return outputs_of(spec) == MAPS


def ends(spec: ModelSpec) -> bool:
    """Whether its ``step`` ends with the best cell."""
    return outputs_of(spec) == (CELL.name,)


def changed(spec: ModelSpec) -> ModelSpec:
    """The spec with that ending."""
    step = spec.functions["step"]
    ended = replace(step, inputs=(*step.inputs, BELIEF), outputs=(CELL,))
    return replace(
        spec, functions={**spec.functions, "step": ended}, preprocess={**spec.preprocess, "decode": DECODE}
    )


def wrapped(functions: Mapping[str, Any]) -> dict[str, Any]:
    """The model's functions with it."""
    return {**functions, "step": partial(_ended, functions["step"])}


def outputs_of(spec: ModelSpec) -> tuple[str, ...]:
    """What ``step`` gives; nothing where there is none."""
    step = spec.functions.get("step")
    return () if step is None else tuple(tensor.name for tensor in step.outputs)


def _ended(
    step: Any, inputs: Mapping[str, Tensor], state: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    maps, written = step(inputs, state)
    return {CELL.name: best_cell(maps, inputs[BELIEF.name])}, written


def best_cell(maps: Mapping[str, Tensor], belief: Tensor) -> Tensor:
    """Maps (B, ·, G, G) of a centre head, belief (B, 4) -> the best cell of each (B, 9); see ``CELL``."""
    score, size = maps["score"], maps["size"]
    grid = score.shape[-1]
    change, window = (belief[:, place, None, None] for place in (2, 3))
    worth = score[:, 0] * penalty(size, belief[:, :2], change) * (1 - window) + window * hann(score)
    best = worth.flatten(1).argmax(1)  # (B,)
    line = torch.arange(grid, dtype=score.dtype, device=score.device) + 0.5
    corners = torch.stack([line.expand(grid, grid), line[:, None].expand(grid, grid)])  # x, y of each middle
    places = (maps["offset"] + corners) / grid
    cells = torch.cat([score, places, size, maps["log_variance"]], 1).flatten(2)  # (B, 9, G²)
    return cells.gather(2, best[:, None, None].expand(-1, cells.shape[1], 1)).squeeze(2)


def penalty(sides: Tensor, before: Tensor, change: Tensor) -> Tensor:
    """Factors (B, G, G) in (0, 1], small where size or shape (B, 2, G, G) differ from those before (B, 2)."""
    width, height = sides.clamp_min(LEAST_SIDE).unbind(1)
    wide, high = before.clamp_min(LEAST_SIDE)[..., None, None].unbind(1)
    pad, context = (wide + high) / 2, (width + height) / 2
    extent = (width + context) * (height + context) / ((wide + pad) * (high + pad))
    shape = (width / height * (high / wide)).square()
    apart = torch.maximum(extent, 1 / extent) * torch.maximum(shape, 1 / shape)
    return torch.exp(change * (1 - apart.sqrt()))


def hann(like: Tensor) -> Tensor:
    """The window (G, G) of maps (B, 1, G, G)."""
    grid = like.shape[-1]
    step = torch.arange(1, grid + 1, dtype=like.dtype, device=like.device)
    line = 0.5 - 0.5 * torch.cos(2 * torch.pi / (grid + 1) * step)
    return line[:, None] * line
