"""From pixels to a feature map at the token stride.

A convolutional stem for CPUs, and a patch stem for the plain form.
"""

from __future__ import annotations

from torch import Tensor, nn

from .config import ArtrackMambaConfig


def conv_norm(inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """Convolution without bias and batch norm (which export folds into it)."""
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs))


class InvertedBottleneck(nn.Module):
    """Widen, filter each channel alone, narrow; with a skip where shapes allow (MobileNetV2, section 3.3)."""

    def __init__(self, inputs: int, outputs: int, *, kernel: int, stride: int = 1, widen: int = 4) -> None:
        super().__init__()
        wide = inputs * widen
        self.body = nn.Sequential(
            conv_norm(inputs, wide),
            nn.ReLU(inplace=True),
            conv_norm(wide, wide, kernel, stride, groups=wide),
            nn.ReLU(inplace=True),
            conv_norm(wide, outputs),
        )
        self.skip = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, H / stride, W / stride)."""
        y: Tensor = self.body(x)
        return x + y if self.skip else y


class ConvStem(nn.Sequential):
    """(B, 3, S, S) -> (B, dim, S / 16, S / 16) by depthwise-separable convolutions."""

    def __init__(self, config: ArtrackMambaConfig) -> None:
        c2, c4, c8, c16 = config.stem_channels
        super().__init__(
            conv_norm(3, c2, 3, 2),
            nn.ReLU(inplace=True),
            InvertedBottleneck(c2, c4, kernel=3, stride=2, widen=2),  # wide maps are dear at high resolution
            InvertedBottleneck(c4, c4, kernel=3, widen=3),
            InvertedBottleneck(c4, c8, kernel=5, stride=2),
            InvertedBottleneck(c8, c8, kernel=5, widen=3),
            InvertedBottleneck(c8, c8, kernel=3, widen=3),
            InvertedBottleneck(c8, c16, kernel=5, stride=2),
            InvertedBottleneck(c16, c16, kernel=5),
            InvertedBottleneck(c16, c16, kernel=5),
            InvertedBottleneck(c16, c16, kernel=5),
            InvertedBottleneck(c16, config.dim, kernel=5),
        )


class PatchStem(nn.Sequential):
    """(B, 3, S, S) -> (B, dim, S / stride, S / stride): one linear map a patch."""

    def __init__(self, config: ArtrackMambaConfig) -> None:
        super().__init__(nn.Conv2d(3, config.dim, config.stride, config.stride), nn.BatchNorm2d(config.dim))


def build_stem(config: ArtrackMambaConfig) -> nn.Module:
    """The stem that the configuration names: (B, 3, S, S) -> (B, dim, S / stride, S / stride)."""
    return ConvStem(config) if config.stem == "conv" else PatchStem(config)
