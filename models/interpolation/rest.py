"""Where motion cannot be told, a place falls back to what both frames show there, unmoved.

A wrong motion is worse than none: sparks, spray and dissolves move nowhere, and a drawing that is held does
not move although the pairs around it say so. Such a place is said to rest. What tells it from others: how
little the frames differ where nothing is moved, how much along the motion, and whether the pairs around stand
still while this one moves.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from .config import InterpolatorConfig
from .flow import FLOW
from .layers import Layer, conv
from .refine import start_at_zero

WIDTH = 16
RARE = -4.0  # how likely a place rests before anything is learned, as a logit
LEAST_DIFFERENCE, LEAST_SPEED = 0.01, 0.05  # of features, in pixels of the grid: what counts as none
MEASURES = 5
"""Channels of `measured`."""


class Rest(nn.Module):
    """How likely each place rests: at level 8, once a pair, and then more finely at level 4."""

    def __init__(self, config: InterpolatorConfig) -> None:
        super().__init__()
        self.coarse = nn.Sequential(
            conv(config.flow_width[1] + MEASURES, WIDTH, 1),
            Layer(WIDTH, "separable"),
            nn.Conv2d(WIDTH, 1, 1),
        )
        self.fine = nn.Sequential(conv(config.flow_width[2] + 1, WIDTH, 1), nn.Conv2d(WIDTH, 1, 1))
        for row, bias in ((self.coarse, RARE), (self.fine, 0.0)):
            last = row[-1]
            assert isinstance(last, nn.Conv2d)
            start_at_zero(last)
            nn.init.constant_(last.bias, bias)  # type: ignore[arg-type]

    def of_pair(
        self,
        trunk: Tensor,
        pair: tuple[Tensor, Tensor],
        seen: Tensor | None,
        start: Tensor | None,
        bend: Tensor | None,
    ) -> Tensor:
        """Level 8: the logit (B, 1, H, W). ``seen`` is what `seen_along` gives; see `measured`."""
        assert seen is not None, "the configuration starts from a flow"
        assert start is not None, "the configuration starts from a flow"
        assert bend is not None, "the configuration has a bend"
        told = measured(pair, seen[:, : 2 * pair[0].shape[1]], start, bend)
        out: Tensor = self.coarse(torch.cat([trunk, told], dim=1))
        return out.float()

    def of_frame(self, coarse: Tensor, trunk: Tensor, first: Tensor, second: Tensor) -> Tensor:
        """Level 4: logit of the pair (B, 1, H, W), trunk, features of both frames -> a finer logit."""
        finer: Tensor = self.fine(torch.cat([trunk, unlike(first, second)], dim=1))
        return coarse + finer.float()


def measured(pair: tuple[Tensor, Tensor], along: Tensor, start: Tensor, bend: Tensor) -> Tensor:
    """What tells a place that rests, as logarithms: (B, 5, H, W).

    ``pair`` are the features of both frames (B, C, H, W), ``along`` both fetched along the flow to start
    from (B, 2C, H, W). How unlike they are at one place, and along the motion; how fast this pair moves; and
    how fast the pairs before and after do, which ``bend`` tells: where they stand still it is a quarter of
    ``start``, both (B, 4, H, W).
    """
    left = bend - 0.25 * start
    one, other = along.chunk(2, dim=1)
    speeds = [0.5 * (start[:, 2:] - start[:, :2]), left[:, :2], left[:, 2:]]
    return torch.cat([unlike(*pair), unlike(one, other), *(_log_length(x) for x in speeds)], dim=1)


def unlike(one: Tensor, other: Tensor, around: int = 3) -> Tensor:
    """The logarithm of how much two features (B, C, H, W) differ ``around`` each place: (B, 1, H, W)."""
    difference = (one - other).abs().mean(1, keepdim=True)
    means = functional.avg_pool2d(difference, around, 1, around // 2, count_include_pad=False)
    return torch.log(means + LEAST_DIFFERENCE)


def _log_length(speed: Tensor) -> Tensor:
    return torch.log(speed.abs().sum(1, keepdim=True) + LEAST_SPEED)


def at_rest(known: Tensor, keep: Tensor, t: Tensor) -> Tensor:
    """Flow and mask logit (B, 5, H, W) of places that keep a share (B, 1, H, W) of their motion at time t.

    Where nothing is kept the flow is none, and each frame has the share that its time gives it.
    """
    share = t.view(-1, 1, 1, 1)
    plain = torch.log((1.0 - share) / share)
    flow, mask = known[:, :FLOW] * keep, known[:, FLOW:]
    return torch.cat([flow, plain + keep * (mask - plain)], dim=1)
