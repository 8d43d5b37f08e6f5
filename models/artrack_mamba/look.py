"""How a thing looks, as one vector: pictures of one target lie close together, its look-alikes apart.

It reads the tracker's own stem at several depths, whose weights stay as they are; only the few layers here
are learnt (``examples/learn_looks.py``). Which vectors are close enough is told by others of the same scene,
not by one threshold: see ``engine/tracking/looks.py``.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from ...bundles import FunctionSpec, TensorSpec
from .stem import MobileStem

VIEW = 128
"""Pixels on each side of what is looked at."""
CELLS = 8
"""Cells on each side of the features that are read."""
DEPTHS = (2, 4)
"""Blocks of the stem that are read beside its last one."""
CHANNELS = 12 + 16 + 24 + MobileStem.channels
"""Of the pixels, of these blocks, and of the last one."""


class Look(nn.Module):
    """Features (B, CHANNELS, 8, 8) -> unit vectors (B, dim)."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.enter = nn.Conv2d(CHANNELS, 64, 1)
        self.near = nn.Conv2d(64, 64, 3, padding=1, groups=64)
        self.narrow = nn.Conv2d(64, 32, 1)
        self.out = nn.Linear(32 * (CELLS // 2) ** 2, dim)

    def forward(self, features: Tensor) -> Tensor:
        """See the class."""
        x = functional.relu(self.enter(features))
        x = x + functional.relu(self.near(x))
        x = functional.avg_pool2d(functional.relu(self.narrow(x)), 2).flatten(1)
        raw: Tensor = self.out(x)
        return functional.normalize(raw, dim=1)


def read(stem: nn.Module, view: Tensor) -> Tensor:
    """What ``Look`` takes of a normalised view (B, 3, 128, 128): (B, CHANNELS, 8, 8)."""
    quarters = functional.avg_pool2d(view, VIEW // (2 * CELLS))  # (B, 3, 16, 16)
    batch = view.shape[0]
    pixels = quarters.reshape(batch, 3, CELLS, 2, CELLS, 2).permute(0, 1, 3, 5, 2, 4)
    parts, x = [pixels.reshape(batch, 12, CELLS, CELLS)], view
    assert isinstance(stem, MobileStem), "the configuration allows no other"
    for depth, block in enumerate(stem):
        x = block(x)
        if depth in DEPTHS:
            parts.append(functional.avg_pool2d(x, x.shape[-1] // CELLS))
    return torch.cat([*parts, x], dim=1)


def function(dim: int) -> FunctionSpec:
    """The function ``look`` of a spec: a normalised crop to its vector."""
    crop = TensorSpec("crop", "float32", ("batch", 3, VIEW, VIEW))
    return FunctionSpec((crop,), (TensorSpec("look", "float32", ("batch", dim)),), (), ())
