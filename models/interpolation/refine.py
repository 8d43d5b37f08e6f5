"""The RefineNet: what warping cannot give (a residual), and second thoughts on whom to trust (a mask)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from .config import InterpolatorConfig
from .layers import Layer, conv, enlarge, head

OUTPUTS = 4  # three of residual, one of mask
PATCH = 4  # pixels of a side
PATCH_CHANNELS = 24


def start_at_zero(layer: nn.Conv2d) -> None:
    """Lets a layer give nothing until it has learned something."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)


class QuarterRefine(nn.Module):
    """At level 4, from what the last flow scale knew."""

    def __init__(self, config: InterpolatorConfig) -> None:
        super().__init__()
        width = config.flow_width[2]
        self.layer = Layer(width, config.flow_layers[2])
        self.head = head(width, OUTPUTS, config.head_kernels[2])
        start_at_zero(self.head)

    def forward(self, trunk: Tensor) -> Tensor:
        """trunk (B, C, H/4, W/4) -> residual and mask (B, 4, H/4, W/4)."""
        out: Tensor = self.head(self.layer(trunk))
        return out


class PatchRefine(nn.Module):
    """As ``QuarterRefine``, and then a second look: at patches of 4 × 4 pixels of both warped frames.

    A patch becomes one place of level 4, and one place gives a patch of full size. The second look starts by
    adding nothing.
    """

    def __init__(self, config: InterpolatorConfig) -> None:
        super().__init__()
        width, trunk = config.refine_width, config.flow_width[2]
        self.layer = Layer(trunk, config.flow_layers[2])
        self.head = head(trunk, OUTPUTS, config.head_kernels[2])
        self.patches = nn.Conv2d(3, PATCH_CHANNELS, PATCH, PATCH)
        self.join = conv(trunk + 2 * PATCH_CHANNELS, width, 1)
        self.look = Layer(width, "full")
        self.more = nn.Sequential(*(Layer(width, "full") for _ in range(config.refine_depth - 1)))
        self.fine = nn.Conv2d(width, OUTPUTS * PATCH * PATCH, 1)
        start_at_zero(self.head)
        start_at_zero(self.fine)

    def forward(
        self, trunk: Tensor, one: Tensor, other: Tensor, folded: bool = False
    ) -> tuple[Tensor, Tensor]:
        """trunk (B, C, H/4, W/4), both warped frames (B, 3, H, W) -> residual and mask.

        As (B, 4, H/4, W/4), and what the second look adds to them in patches, (B, 64, H/4, W/4). ``folded``
        computes the same with fewer and smaller steps, for graphs whose weights stay as they are.
        """
        near: Tensor = self.layer(trunk)
        if folded:
            joined = self._joined(near, one, other)
        else:
            joined = self.join(torch.cat([near, *(self.patches(x - 0.5) for x in (one, other))], dim=1))
        looked: Tensor = self.fine(self.more(self.look(joined)))
        return self.head(near), looked

    def in_parts(self, trunk: Tensor, one: Tensor, other: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """As ``forward``, folded, but what the second look adds to the residual and to the mask is apart.

        That is (B, 48, H/4, W/4) and (B, 16, H/4, W/4).
        """
        near: Tensor = self.layer(trunk)
        looked = self.more(self.look(self._joined(near, one, other)))
        assert self.fine.bias is not None
        colours = (OUTPUTS - 1) * PATCH * PATCH
        parts = (slice(None, colours), slice(colours, None))
        residual, mask = (functional.conv2d(looked, self.fine.weight[at], self.fine.bias[at]) for at in parts)
        return self.head(near), residual, mask

    def _joined(self, near: Tensor, one: Tensor, other: Tensor) -> Tensor:
        """``join`` over ``patches``, with nothing between them: one convolution a frame, their sum."""
        join, activation = self.join
        assert isinstance(join, nn.Conv2d)
        assert join.bias is not None
        assert self.patches.bias is not None
        sizes = [near.shape[1], PATCH_CHANNELS, PATCH_CHANNELS]
        own, *seen = join.weight.flatten(1).split(sizes, dim=1)
        offset = self.patches.bias - 0.5 * self.patches.weight.sum((1, 2, 3))  # frames are centred on 0.5
        bias = join.bias + seen[0] @ offset + seen[1] @ offset
        total = functional.conv2d(near, own[:, :, None, None], bias)
        for frame, share in zip((one, other), seen, strict=True):
            kernel = (share @ self.patches.weight.flatten(1)).unflatten(1, self.patches.weight.shape[1:])
            total = total + functional.conv2d(frame, kernel, stride=PATCH)
        out: Tensor = activation(total)
        return out


class FullRefine(nn.Module):
    """A small U-net over the warped frames at full size, with what the last flow scale knew at its bottom."""

    def __init__(self, config: InterpolatorConfig) -> None:
        super().__init__()
        width = config.refine_width
        self.at_full = conv(9, width)
        self.at_half = nn.Sequential(conv(width, 2 * width, 3, 2), Layer(2 * width, "full"))
        self.at_quarter = nn.Sequential(conv(2 * width, 4 * width, 3, 2), Layer(4 * width, "full"))
        self.join = nn.Sequential(conv(4 * width + config.flow_width[2], 4 * width), Layer(4 * width, "full"))
        self.to_half = conv(6 * width, 2 * width)
        self.to_full = conv(3 * width, width)
        self.head = nn.Conv2d(width, OUTPUTS, 3, padding=1)
        start_at_zero(self.head)

    def forward(self, pictures: Tensor, trunk: Tensor) -> Tensor:
        """Both warped frames and their blend (B, 9, H, W), trunk (B, C, H/4, W/4) -> (B, 4, H, W)."""
        full = self.at_full(pictures)
        half = self.at_half(full)
        low = self.join(torch.cat([self.at_quarter(half), trunk], dim=1))
        half = self.to_half(torch.cat([enlarge(low, 2), half], dim=1))
        out: Tensor = self.head(self.to_full(torch.cat([enlarge(half, 2), full], dim=1)))
        return out
