"""Motion that is large: found at half the size by the coarser blocks of RIFE 4.25, and chosen place by place.

What starts from a classical flow loses a thing that moves further than its own size. RIFE's blocks see a
sixteenth of a frame first and find many of those, and are less exact elsewhere. So both are found, once a
pair, and at level 4 it is learned which is to be believed, by how well each fetches the same from both
frames. The blocks are RIFE's own (Huang et al. 2022, arXiv 2011.06294), and stay as they are.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from ...plugins import Operators
from ..rife.config import RifeConfig
from ..rife.model import Block, Encoder, follow
from ..warp import Warp, choose_warp
from .config import FAR_SMALLER as SMALLER
from .config import InterpolatorConfig
from .flow import FLOW
from .layers import Layer, conv, shrink
from .refine import start_at_zero
from .rest import unlike

State = dict[str, Tensor]
WIDTH = 48
AROUND = (3, 9)  # places around each, over which it is told how well a motion fits
TOLD = 3 * len(AROUND)
RARE, FITTING = (
    -1.0,
    2.0,
)  # the logit of the far motion before anything is learned: by how much better it fits
REACH = 8.0  # places; flows are told as shares of it


class Far(nn.Module):
    """The first ``far_blocks`` blocks of RIFE 4.25, and its encoder."""

    def __init__(self, config: InterpolatorConfig, operators: Operators) -> None:
        super().__init__()
        self.network = RifeConfig()
        self.encode = Encoder(self.network)
        self._warp = choose_warp(operators)
        for index in range(config.far_blocks):
            self.add_module(f"block{index}", Block(self.network, index))
        self.count = config.far_blocks
        self.requires_grad_(False)

    def seen(self, image: Tensor) -> Tensor:
        """image (B, 3, H, W) in [0, 1] -> what is kept of a frame, (B, 7, H/2, W/2)."""
        small = shrink(image, SMALLER)
        return torch.cat([small, self.encode(small)], dim=1)

    def forward(self, first: Tensor, second: Tensor) -> State:
        """What is kept of both frames -> flow (B, 4, H/4, W/4), in its pixels, and mask (B, 1, H/4, W/4)."""
        t = first.new_full((first.shape[0], 1), 0.5)
        blocks = [self.get_submodule(f"block{index}") for index in range(self.count)]
        flow, mask = follow(blocks, self.network, self._warp, first, second, t)
        times = 4 // SMALLER
        return {"far": shrink(flow, times) * (1.0 / times), "far_mask": shrink(mask, times)}


class Picked(NamedTuple):
    """What `Pick` gives, all on the grid of level 4.

    Attributes:
        known: flow and mask that are taken (B, 5, H/4, W/4).
        trunk: with what is known of them, (B, C, H/4, W/4).
        resting: what is added to the logit by which a place rests (B, 1, H/4, W/4).
        choice: the logit of the far motion's share in what is taken (B, 1, H/4, W/4).
    """

    known: Tensor
    trunk: Tensor
    resting: Tensor
    choice: Tensor


class Pick(nn.Module):
    """Chooses at level 4 between the model's own motion and the far one, and has second thoughts on rest."""

    def __init__(self, config: InterpolatorConfig, warp: Warp) -> None:
        super().__init__()
        self._warp = warp
        features, trunk = config.channels[0], config.flow_width[2]
        self.entry = conv(trunk + 4 * features + TOLD + 3 * FLOW + 2, WIDTH, 1)
        self.layers = nn.Sequential(
            Layer(WIDTH, "full"), Layer(WIDTH, "separable"), Layer(WIDTH, "separable")
        )
        self.head = nn.Conv2d(WIDTH, FLOW + 3, 1)
        self.told = nn.Conv2d(WIDTH, trunk, 1)
        self.fits = nn.Conv2d(TOLD, 1, 1)
        for layer in (self.head, self.told, self.fits):
            start_at_zero(layer)
        nn.init.constant_(self.fits.bias, RARE)  # type: ignore[arg-type]
        nn.init.constant_(self.fits.weight[0, : len(AROUND)], FITTING)
        nn.init.constant_(self.fits.weight[0, len(AROUND) : 2 * len(AROUND)], -FITTING)

    def forward(self, trunk: Tensor, own: Tensor, far: Tensor, first: Tensor, second: Tensor) -> Picked:
        """What is moved, told and put at rest.

        Args:
            trunk: of level 4, (B, C, H/4, W/4).
            own, far: flow and mask (B, 5, H/4, W/4) of either motion at the time of the frame.
            first, second: features of both frames at level 4.
        """
        pairs = [(self._warp(first, one[:, :2]), self._warp(second, one[:, 2:FLOW])) for one in (own, far)]
        measured = [unlike(*pair, around) for pair in (*pairs, (first, second)) for around in AROUND]
        away = [(one - other).abs() for one, other in pairs]
        flows = [one[:, :FLOW] / REACH for one in (own, far, far - own)]
        masks = [own[:, FLOW:], far[:, FLOW:]]
        x = self.layers(self.entry(torch.cat([trunk, *pairs[1], *away, *measured, *flows, *masks], dim=1)))
        found = self.head(x).float()
        choice = self.fits(torch.cat(measured, dim=1)).float() + found[:, :1]
        share = torch.sigmoid(choice)
        taken = own + share * (far + found[:, 1 : FLOW + 2] - own)
        return Picked(taken, trunk + self.told(x), found[:, FLOW + 2 :], choice)
