"""Convolutional building blocks that the encoder, the flow scales and the refinement share."""

from __future__ import annotations

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


def shrink(x: Tensor, times: int) -> Tensor:
    """Means over ``times``² pixels."""
    return functional.avg_pool2d(x, times)
