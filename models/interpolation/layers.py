"""Convolutional building blocks that the encoder, the flow scales and the refinement share."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


def conv(inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """A convolution with a ReLU of learned slope."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, padding=(kernel - 1) // 2), nn.LeakyReLU(0.1, inplace=True)
    )


def head(inputs: int, outputs: int, kernel: int) -> nn.Conv2d:
    """A plain convolution that gives numbers, not features."""
    return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2)


class Layer(nn.Module):
    """A residual layer: a full 3×3 convolution, or a depthwise one and a pointwise one."""

    def __init__(self, dim: int, kind: str) -> None:
        super().__init__()
        if kind == "full":
            self.body = nn.Sequential(nn.Conv2d(dim, dim, 3, padding=1))
        else:
            self.body = nn.Sequential(nn.Conv2d(dim, dim, 3, padding=1, groups=dim), nn.Conv2d(dim, dim, 1))

    def forward(self, x: Tensor) -> Tensor:
        """x (B, C, H, W) -> the same."""
        return functional.leaky_relu(x + self.body(x), 0.1)


def enlarge(x: Tensor, times: int) -> Tensor:
    """Bilinear enlargement, pixel centres aligned; flows must be multiplied by ``times`` beside it."""
    return functional.interpolate(x, scale_factor=float(times), mode="bilinear", align_corners=False)


def enlarge_in_patches(x: Tensor, times: int) -> Tensor:
    """``enlarge``, as ``pixel_shuffle`` of what this gives would be: (B, C, H, W) -> (B, C · times², H, W).

    One convolution whose weights are the shares of the nine places around. Where something that is in such
    patches, too, is added to it, one shuffle does for both, which is quicker in ONNX Runtime on a CPU.
    """
    channels = x.shape[1]
    at = torch.arange(times, dtype=torch.float32).add(0.5).div(times).sub(0.5)  # from a place to its pixels
    shares = torch.stack([(-at).clamp(min=0), 1 - at.abs(), at.clamp(min=0)])  # of three places
    kernel = torch.einsum("ip,jq->pqij", shares, shares).reshape(times * times, 1, 3, 3)
    weight = torch.einsum("cd,kxij->ckdij", torch.eye(channels), kernel).flatten(0, 1)
    around = functional.pad(x, (1, 1, 1, 1), mode="replicate")
    return functional.conv2d(around, weight.to(x))


def shrink(x: Tensor, times: int) -> Tensor:
    """Means over ``times``² pixels."""
    return functional.avg_pool2d(x, times)
