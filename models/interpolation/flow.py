"""Motion in three scales: each warps the features of both frames by the flow so far and mends it.

Flows are those of the frame in the middle: from each of its pixels to where that is in the first frame and
in the second (4 channels: x, y, x, y), in pixels of the grid they are on. Beside them go a mask (which of the
two frames is to be trusted, as a logit) and hidden channels from scale to scale. Source: IFNet of RIFE (arXiv
2011.06294), with features warped in place of images.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..warp import Warp
from .config import InterpolatorConfig
from .layers import Layer, conv, enlarge, head

FLOW = 4  # channels of a pair of flows


def correlate(one: Tensor, other: Tensor, radius: int) -> Tensor:
    """How alike each place of ``one`` is to the (2·radius + 1)² places around it in ``other``.

    one, other (B, C, H, W) -> dot products (B, (2r + 1)², H, W), dy before dx, each from -r to r. Row by row
    as matrix products: what is wanted lies on a diagonal band, which becomes a rectangle when the rows of the
    product are read with a stride longer by one.
    """
    batch, _, height, width = one.shape
    span = 2 * radius + 1
    padded = functional.pad(other, (radius, radius, radius, radius))
    rows = torch.stack([padded[:, :, dy : dy + height] for dy in range(span)], dim=1)  # (B, 2r+1, C, H, W+2r)
    product = one.permute(0, 2, 3, 1).unsqueeze(1) @ rows.permute(0, 1, 3, 2, 4)  # (B, 2r+1, H, W, W+2r)
    flat = functional.pad(product.flatten(3), (0, width))
    band = flat.reshape(batch, span, height, width, width + span)[..., :span]
    return band.permute(0, 1, 4, 2, 3).reshape(batch, span * span, height, width)


class FirstScale(nn.Module):
    """Level 16: from the features of both frames, their correlation, and perhaps a flow to start from.

    That is the last pair's (``prior``), or one found by other means (``start``).
    """

    def __init__(self, config: InterpolatorConfig) -> None:
        super().__init__()
        features, width = config.channels[2], config.flow_width[0]
        self.radius = config.correlation_radius
        inputs = 2 * features
        if self.radius:
            self.project = nn.Conv2d(features, config.correlation_channels, 1)
            inputs += 2 * (2 * self.radius + 1) ** 2
        self.entry = conv(inputs, width, 1)
        self.prior = hint(width) if "flow" in config.carry else None
        self.start = hint(width) if config.start_flow != "none" else None
        self.layers = nn.Sequential(
            *(Layer(width, config.flow_layers[0]) for _ in range(config.flow_depth[0]))
        )
        self.head = head(width, FLOW + 1 + config.hidden, config.head_kernels[0])

    def forward(
        self, first: Tensor, second: Tensor, prior: Tensor | None, start: Tensor | None = None
    ) -> Tensor:
        """first, second (B, C, H, W), flows to start from or None -> flow, mask and hidden, stacked."""
        parts = [first, second]
        if self.radius:
            keys = [functional.normalize(self.project(x), dim=1) for x in parts]
            parts += [correlate(keys[0], keys[1], self.radius), correlate(keys[1], keys[0], self.radius)]
        x: Tensor = self.entry(torch.cat(parts, dim=1))
        if self.prior is not None and prior is not None:
            x = x + self.prior(prior)
        if self.start is not None and start is not None:
            x = x + self.start(start)
        found: Tensor = self.head(self.layers(x))
        return found.float()  # flows stay exact where the layers run in fewer bits


def hint(width: int) -> nn.Conv2d:
    """What a flow adds to the features of the first scale: nothing, until that is learned."""
    layer = nn.Conv2d(FLOW, width, 3, padding=1, bias=False)
    nn.init.zeros_(layer.weight)
    return layer


class NextScale(nn.Module):
    """Levels 8 and 4: features of both frames, warped by the flow so far, tell what is wrong with it."""

    def __init__(self, config: InterpolatorConfig, scale: int, warp: Warp, extra: int = 0) -> None:
        super().__init__()
        self.warp, self.images = warp, config.warp == "images"
        features, width = config.channels[2 - scale], config.flow_width[scale]
        kind = config.flow_layers[scale]
        inputs = 2 * features + FLOW + 1 + config.hidden + extra + (6 if self.images else 0)
        self.entry = conv(inputs, width, 1 if kind == "separable" else 3)
        self.layers = nn.Sequential(*(Layer(width, kind) for _ in range(config.flow_depth[scale])))

    def forward(
        self,
        first: Tensor,
        second: Tensor,
        found: Tensor,
        extra: Tensor | None = None,
        images: tuple[Tensor, Tensor] | None = None,
    ) -> Tensor:
        """first, second (B, C, H, W) and what was found so far on this grid -> (B, width, H, W).

        ``images`` are both frames on this grid, for a model that warps those in place of the features.
        """
        one, other = images if self.images and images is not None else (first, second)
        parts = [self.warp(one, found[:, :2]), self.warp(other, found[:, 2:FLOW]), found]
        if self.images:
            parts = [first, second, *parts]
        if extra is not None:
            parts.append(extra)
        out: Tensor = self.layers(self.entry(torch.cat(parts, dim=1)))
        return out


def onto_finer(found: Tensor) -> Tensor:
    """Flow, mask and hidden on a grid of twice the size; flows in its pixels."""
    larger = enlarge(found, 2)
    return torch.cat([larger[:, :FLOW] * 2.0, larger[:, FLOW:]], dim=1)


def retime(found: Tensor, t: Tensor, warp: Warp) -> Tensor:
    """Flows of the middle, made those of the time t (B, 1) between the frames (0 the first, 1 the second).

    What is at a place at time t was, or will be, elsewhere in the middle: its motion there is fetched along
    itself, and then scaled to the two spans of time. Three places make a parabola: what the two flows have
    in common is how far the middle lies beside the straight line, and at t that is 4 t (1 - t) of it. For
    t = 1/2 nothing changes.
    """
    share = t.view(-1, 1, 1, 1)
    there = warp(found, (0.5 - share) * (found[:, 2:FLOW] - found[:, :2]))
    whole = there[:, 2:FLOW] - there[:, :2]  # the motion from the first frame to the second
    aside = (there[:, 2:FLOW] + there[:, :2]) * (2.0 * share * (1.0 - share))
    return torch.cat([aside - share * whole, aside + (1.0 - share) * whole, there[:, FLOW:]], dim=1)
