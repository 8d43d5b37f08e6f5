"""How far a made frame is from the real one, and warped frames and flows from what they should be."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from ...errors import DataError
from ..weight_files import read_weights

LAPLACIAN_LEVELS = 4
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


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


def flow_distance(found: Tensor, taught: Tensor, known: Tensor, where: Tensor | float = 1.0) -> Tensor:
    """Mean distance of flows (B, 4, H, W) in pixels, over the samples whose flow is known (B, 1).

    ``where`` (B, 4, H, W) is how much each place counts; one that does not is as one that agrees.
    """
    share = known.view(-1, 1, 1, 1)
    return ((found - taught).abs() * share * where).sum() / (share.sum() * found[0].numel()).clamp(min=1.0)


LUMA = (0.299, 0.587, 0.114)
LEVEL_OF_EDGES = 170.0 / 255.0**2  # of squared gradients, below which they are as good as none


def edge_map(image: Tensor) -> Tensor:
    """How steep the luma of (B, 3, H, W) in [0, 1] is at half its size, squared: (B, 1, H/2, W/2)."""
    luma = (image * image.new_tensor(LUMA).view(3, 1, 1)).sum(1, keepdim=True)
    half = functional.avg_pool2d(luma, 2)
    ramp = half.new_tensor([[-1.0, 0.0, 1.0]] * 3) / 3.0
    kernels = torch.stack([ramp, ramp.T]).unsqueeze(1)
    return functional.conv2d(half, kernels, padding=1).square().sum(1, keepdim=True)


def edge_distance(made: Tensor, real: Tensor) -> Tensor:
    """Deviation of the likeness of gradients (GMSD, Xue et al. 2014, arXiv 1308.3052), mean over samples.

    Ghosts and soft edges, which squared errors hardly see, are most of it.
    """
    one, other = (edge_map(image.float()) + 1e-8 for image in (made, real))
    likeness = (2 * torch.sqrt(one * other) + LEVEL_OF_EDGES) / (one + other + LEVEL_OF_EDGES)
    return torch.sqrt(likeness.var((1, 2, 3), correction=0) + 1e-8).mean()


class FeatureLoss(nn.Module):
    """Perceptual distance: mean absolute difference of a frozen network's features of both images.

    ``layers`` are indices into the network after which features are compared.
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


class Standardised(nn.Module):
    """Images in [0, 1] as networks trained on ImageNet expect them."""

    def forward(self, image: Tensor) -> Tensor:
        """image (B, 3, H, W) -> the same less ImageNet's mean, over its deviation."""
        mean, std = (image.new_tensor(three).view(3, 1, 1) for three in IMAGENET)
        return (image - mean) / std


def read_features(path: Path) -> FeatureLoss:
    """The distance by a VGG without batch norms, compared before each of its poolings and at its end.

    The safetensors file has torchvision's names, ``features.<place>.weight`` and ``.bias`` of 3×3
    convolutions; a place three after the last one is behind a pooling. Other tensors are left out.

    Raises DataError where the file cannot be read or holds no such layers.
    """
    found = read_weights(path)
    places = sorted(int(name.split(".")[1]) for name in found if re.fullmatch(r"features\.\d+\.weight", name))
    steps = [second - first for first, second in pairwise(places)]
    if not places or places[0] != 0 or not set(steps) <= {2, 3}:
        raise DataError(
            f"{path} holds no features of a VGG", "give one of torchvision's, without batch norms"
        )
    layers: list[nn.Module] = [Standardised()]
    compared = []
    for place, step in zip(places, [*steps, 3], strict=True):
        weight, bias = (torch.from_numpy(found[f"features.{place}.{kind}"]) for kind in ("weight", "bias"))
        convolution = nn.Conv2d(weight.shape[1], weight.shape[0], 3, padding=1)
        convolution.load_state_dict({"weight": weight, "bias": bias})
        layers += [convolution, nn.ReLU()]
        if step == 3:
            compared.append(len(layers) - 1)
            layers.append(nn.MaxPool2d(2))
    return FeatureLoss(nn.Sequential(*layers[:-1]), tuple(compared))
