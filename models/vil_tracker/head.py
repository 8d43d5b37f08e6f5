"""What the tracker answers: where the target's centre is, its size, and how sure the model is of each."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..artrack_mamba.stem import conv_norm
from .config import VilTrackerConfig
from .mlstm import fine


class CentreHead(nn.Module):
    """Feature map (B, dim, G, G) -> maps over the same grid.

    score   (B, 1, G, G)  probability that the target's centre lies in the cell
    offset  (B, 2, G, G)  centre minus the cell's middle, in cells, within ±1.5
    size    (B, 2, G, G)  width and height as a share of the crop's side, in (0, 1)
    """

    def __init__(self, config: VilTrackerConfig) -> None:
        super().__init__()
        shared, first, second = config.head_dims
        self.enter = conv_norm(config.dim, shared, 3)
        self.towers = nn.ModuleList(
            nn.Sequential(
                conv_norm(shared, first, 3),
                nn.ReLU(inplace=True),
                conv_norm(first, second, 3),
                nn.ReLU(inplace=True),
                nn.Conv2d(second, depth, 1),
            )
            for depth in (1, 2, 2)
        )
        share = 1 / config.search_factor
        for tower, start in zip(self.towers, (-4.0, 0.0, math.log(share / (1 - share))), strict=True):
            begin(tower, start)  # about 2 % of cells hold the target, at its nominal size

    def forward(self, features: Tensor) -> dict[str, Tensor]:
        """features (B, dim, G, G) -> the three maps, in float32 at least."""
        trunk = functional.relu(self.enter(features))
        score, offset, size = (fine(tower(trunk)) for tower in self.towers)
        return {
            "score": torch.sigmoid(score),
            "offset": 1.5 * torch.tanh(offset),
            "size": torch.sigmoid(size),
        }


class UncertaintyHead(nn.Module):
    """Feature map (B, dim, G, G) -> (B, 4, G, G): log variance of centre x, centre y, width and height.

    Each is relative to the target's own size. It is the noise in the data (aleatoric), learned by likelihood:
    Kendall and Gal, "What Uncertainties Do We Need in Bayesian Deep Learning for Computer Vision?", 2.2.
    """

    def __init__(self, config: VilTrackerConfig) -> None:
        super().__init__()
        first, second = config.uncertainty_dims
        self.body = nn.Sequential(
            conv_norm(config.dim, first, 3),
            nn.ReLU(inplace=True),
            conv_norm(first, second, 3),
            nn.ReLU(inplace=True),
            nn.Conv2d(second, 4, 1),
        )
        begin(self.body, -3.0)

    def forward(self, features: Tensor) -> Tensor:
        """See the class; between -8 and 2, in float32 at least."""
        return fine(self.body(features)).clamp(-8.0, 2.0)


def begin(tower: nn.Module, start: float) -> None:
    """Sets a tower's last layer so that it answers ``start``, nearly, whatever it sees."""
    last = tower[-1]  # type: ignore[index]
    nn.init.normal_(last.weight, std=0.01)
    nn.init.constant_(last.bias, start)
