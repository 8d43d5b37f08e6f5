"""The centre head: where the target is, how large, and how sure the model is of each."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from .config import ArtrackMambaConfig
from .stem import InvertedBottleneck, conv_norm


class CentreHead(nn.Module):
    """Feature map (B, dim, G, G) -> maps over the same grid.

    score         (B, 1, G, G)  probability that the target's centre lies in the cell
    offset        (B, 2, G, G)  centre minus the cell's middle, in cells, within ±1.5
    size          (B, 2, G, G)  width and height as a share of the crop's side, in (0, 1)
    log_variance  (B, 4, G, G)  of centre x, centre y, width, height, each relative to the target's own size
    """

    def __init__(self, config: ArtrackMambaConfig) -> None:
        super().__init__()
        dim = config.head_dim
        given = config.dim == dim and not config.head_widths
        self.enter = nn.Identity() if given else conv_norm(config.dim, dim)
        widths = config.head_widths or (2 * dim, 2 * dim)
        self.body = nn.Sequential(*(InvertedBottleneck(dim, dim, kernel=5, wide=wide) for wide in widths))
        self.towers = nn.Sequential(conv_norm(dim, dim, 3), nn.ReLU(inplace=True))
        self.out = nn.Conv2d(dim, 9, 1)
        bias = self.out.bias
        assert bias is not None
        nn.init.normal_(self.out.weight, std=0.01)
        nn.init.zeros_(bias)
        with torch.no_grad():
            bias[0] = -4.0  # about 2 % of cells hold the target: start there
            share = 1 / config.search_factor
            bias[3:5] = math.log(share / (1 - share))
            bias[5:9] = -3.0

    def forward(self, features: Tensor) -> dict[str, Tensor]:
        """features (B, dim, G, G) -> the four maps, in float32 at least."""
        return self.maps(self.trunk(features))

    def trunk(self, features: Tensor) -> Tensor:
        """features (B, dim, G, G) -> (B, head_dim, G, G), from which the maps are read cell by cell."""
        trunk: Tensor = self.towers(self.body(self.enter(features)))
        return trunk

    def maps(self, trunk: Tensor) -> dict[str, Tensor]:
        """The four maps of a trunk, in float32 at least."""
        raw: Tensor = self.out(trunk)
        raw = raw.to(torch.promote_types(raw.dtype, torch.float32))  # bfloat16 is too coarse for an offset
        score, offset, size, log_variance = raw.split([1, 2, 2, 4], dim=1)
        return {
            "score": torch.sigmoid(score),
            "offset": 1.5 * torch.tanh(offset),
            "size": torch.sigmoid(size),
            "log_variance": log_variance.clamp(-8.0, 2.0),
        }
