"""A flow that was found by other means, beside the model's own at level 8: each mended, and one chosen.

Classical flow is exact where things can be told apart, and lost where they cannot; what was learned is less
exact, and less lost. Both are tried on the features of the frames, and a share between them is learned.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .config import InterpolatorConfig
from .flow import FLOW
from .refine import start_at_zero
from .warp import Warp


def seen_along(start: Tensor, first: Tensor, second: Tensor, warp: Warp) -> Tensor:
    """What a scale is told of a flow to start from: (B, 2C + 6, H, W).

    start (B, 4, H, W): to the first frame and to the second, in pixels of this grid; first, second
    (B, C, H, W). Beside the features that it finds in both frames these are itself, and how far both halves
    are from belonging to one straight motion, which they are where something is hidden in one of the frames.
    """
    there = [warp(first, start[:, :2]), warp(second, start[:, 2:])]
    return torch.cat([*there, start, start[:, :2] + start[:, 2:]], dim=1)


def extra_channels(features: int) -> int:
    """Channels of ``seen_along``."""
    return 2 * features + FLOW + 2


TRUST = 2.0  # of the flow to start from, as a logit, before anything is learned


class Choice(nn.Module):
    """Chooses, place by place, between the model's own flow and one to start from, which it mends."""

    def __init__(self, config: InterpolatorConfig) -> None:
        super().__init__()
        self.head = nn.Conv2d(config.flow_width[1], FLOW + 2, 1)
        start_at_zero(self.head)
        nn.init.constant_(self.head.bias[FLOW], TRUST)  # type: ignore[index]

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
