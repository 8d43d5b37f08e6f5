"""A flow that was found by other means, beside the model's own at level 8: each mended, and one chosen.

Classical flow is exact where things can be told apart, and lost where they cannot; what was learned is less
exact, and less lost. Both are tried on the features of the frames, and a share between them is learned.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..warp import Warp
from .config import InterpolatorConfig
from .flow import FLOW
from .refine import start_at_zero


def seen_along(start: Tensor, bend: Tensor | None, first: Tensor, second: Tensor, warp: Warp) -> Tensor:
    """What a scale is told of a flow to start from: (B, 2C + 6, H, W), and 4 more with a bend.

    start (B, 4, H, W): to the first frame and to the second, in pixels of this grid; first, second
    (B, C, H, W). Beside the features that it finds in both frames these are itself, and how far both halves
    are from belonging to one straight motion, which they are where something is hidden in one of the frames.
    ``bend`` (B, 4, H, W) is told as it is.
    """
    there = [warp(first, start[:, :2]), warp(second, start[:, 2:])]
    told = [] if bend is None else [bend]
    return torch.cat([*there, start, start[:, :2] + start[:, 2:], *told], dim=1)


def extra_channels(config: InterpolatorConfig) -> int:
    """Channels of ``seen_along``; none where the configuration starts from no flow."""
    if config.start_flow == "none":
        return 0
    return 2 * config.channels[1] + FLOW + 2 + (BEND if config.bend else 0)


BEND = 4  # channels: x and y as the pair before tells, x and y as the pair after does
FOLLOWED = 0.3  # of each, before anything is learned
TRUST = 2.0  # of the flow to start from, as a logit, before anything is learned


class Choice(nn.Module):
    """Chooses, place by place, between the model's own flow and one to start from, which it mends."""

    def __init__(self, config: InterpolatorConfig) -> None:
        super().__init__()
        self.head = nn.Conv2d(config.flow_width[1], FLOW + 2, 1)
        start_at_zero(self.head)
        nn.init.constant_(self.head.bias[FLOW], TRUST)  # type: ignore[index]
        self.follow = nn.Conv2d(config.flow_width[1], 2, 1) if config.bend else None
        if self.follow is not None:
            start_at_zero(self.follow)
            nn.init.constant_(self.follow.bias, FOLLOWED)  # type: ignore[arg-type]

    def forward(self, trunk: Tensor, own: Tensor, start: Tensor) -> Tensor:
        """trunk (B, C, H, W), own and start (B, 4, H, W) -> (B, 4, H, W).

        The two halves of ``start`` are found apart. With ``side`` at 0 the straight motion between both is
        taken, at 1 the one that the first half tells, at -1 that of the second.
        """
        found: Tensor = self.head(trunk).float()
        mend, share, side = found[:, :FLOW], torch.sigmoid(found[:, FLOW:-1]), torch.tanh(found[:, -1:])
        towards, bend = start[:, :2] - start[:, 2:], start[:, :2] + start[:, 2:]
        straight = 0.5 * (towards + side * bend)
        mended = torch.cat([straight, -straight], dim=1) + mend
        return own + share * (mended - own)

    def bent(self, trunk: Tensor, flow: Tensor, bend: Tensor) -> Tensor:
        """The flow (B, 4, H, W), moved aside by as much of each bend (B, 4, H, W) as is believed."""
        assert self.follow is not None, "the configuration has a bend"
        believed = torch.tanh(self.follow(trunk).float())
        aside = believed[:, :1] * bend[:, :2] + believed[:, 1:] * bend[:, 2:]
        return flow - torch.cat([aside, aside], dim=1)
