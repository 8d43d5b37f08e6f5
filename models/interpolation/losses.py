"""How far a made frame is from the real one, and warped frames and flows from what they should be."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

LAPLACIAN_LEVELS = 4


def laplacian_pyramid(x: Tensor, levels: int) -> list[Tensor]:
    """Bands of detail from fine to coarse (each half the size), and what remains."""
    bands = []
    for _ in range(levels):
        low = functional.avg_pool2d(x, 2)
        bands.append(x - functional.interpolate(low, scale_factor=2.0, mode="nearest"))
        x = low
    return [*bands, x]


def laplacian_distance(made: Tensor, real: Tensor, levels: int = LAPLACIAN_LEVELS) -> Tensor:
    """Mean absolute difference of all bands, coarse ones weighted by their scale, as far as sizes halve."""
    while levels and (made.shape[-1] % 2**levels or made.shape[-2] % 2**levels):
        levels -= 1
    bands = laplacian_pyramid(made - real, levels)  # linear, so the difference of the pyramids
    return torch.stack([2.0**index * band.abs().mean() for index, band in enumerate(bands)]).sum() / 2.0


def charbonnier(made: Tensor, real: Tensor, epsilon: float = 1e-3) -> Tensor:
    """A smooth absolute difference: nearly squared below ``epsilon``."""
    return torch.sqrt((made - real).square() + epsilon**2).mean()


def log_error(made: Tensor, real: Tensor, least: float = 1e-5) -> Tensor:
    """Mean over samples of log10 of the mean squared error, of which ``least`` (50 dB) is good enough."""
    return torch.log10((made - real).square().mean((1, 2, 3)) + least).mean()


def flow_distance(found: Tensor, taught: Tensor, known: Tensor) -> Tensor:
    """Mean distance of flows (B, 4, H, W) in pixels, over the samples whose flow is known (B, 1)."""
    share = known.view(-1, 1, 1, 1)
    return ((found - taught).abs() * share).sum() / (share.sum() * found[0].numel()).clamp(min=1.0)


class FeatureLoss(nn.Module):
    """Perceptual distance: mean absolute difference of a frozen network's features of both images.

    The network is the caller's (VGG features, in the research plan at a weight of 0.01); none comes with
    Framestate. ``layers`` are indices into it after which features are compared.
    """

    def __init__(self, network: nn.Sequential, layers: tuple[int, ...]) -> None:
        super().__init__()
        self.network, self.layers = network.eval(), layers
        for parameter in self.network.parameters():
            parameter.requires_grad_(False)

    def forward(self, made: Tensor, real: Tensor) -> Tensor:
        """made, real (B, 3, H, W) in [0, 1] -> a scalar; gradients reach ``made`` alone."""
        total = made.new_zeros(())
        one, other = made, real.detach()
        for index, layer in enumerate(self.network):
            one, other = layer(one), layer(other)
            if index in self.layers:
                total = total + (one - other).abs().mean()
        return total
