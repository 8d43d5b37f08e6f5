"""From pixels to a feature map at the token stride.

A convolutional stem for CPUs, and a patch stem for the plain form.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from .config import ArtrackMambaConfig


def conv_norm(inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """Convolution without bias and batch norm (which export folds into it)."""
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs))


class InvertedBottleneck(nn.Module):
    """Widen, filter each channel alone, narrow; with a skip where shapes allow (MobileNetV2, section 3.3)."""

    def __init__(
        self, inputs: int, outputs: int, *, kernel: int, stride: int = 1, widen: int = 4, wide: int = 0
    ) -> None:
        super().__init__()
        wide = wide or inputs * widen
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


class SqueezeExcite(nn.Module):
    """Scales each channel by a gate made of all channels' means (MobileNetV3, section 5.3)."""

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.squeeze, self.excite = nn.Conv2d(channels, squeezed, 1), nn.Conv2d(squeezed, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, channels, H, W) -> the same."""
        gate = functional.relu(self.squeeze(x.mean((2, 3), keepdim=True)))
        return x * functional.hardsigmoid(self.excite(gate))


class MobileBlock(nn.Module):
    """Inverted bottleneck of MobileNetV3 (table 2): ``wide`` channels between, ``squeezed`` 0 for no gate."""

    def __init__(
        self, inputs: int, wide: int, outputs: int, kernel: int, stride: int, squeezed: int, *, hard: bool
    ) -> None:
        super().__init__()
        active = nn.Hardswish if hard else nn.ReLU
        parts: list[nn.Module] = [] if wide == inputs else [conv_norm(inputs, wide), active()]
        parts.append(conv_norm(wide, wide, kernel, stride, groups=wide))
        if squeezed:
            parts.append(SqueezeExcite(wide, squeezed))
        self.body = nn.Sequential(*parts, active(), conv_norm(wide, outputs))
        self.skip = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) -> (B, outputs, H / stride, W / stride)."""
        y: Tensor = self.body(x)
        return x + y if self.skip else y


class MobileStem(nn.Sequential):
    """(B, 3, S, S) -> (B, 48, S / 16, S / 16): MobileNetV3-Small up to stride 16.

    Inside the blocks it may have fewer channels. Whole: 190,520 parameters, 49 million multiply-adds at
    S = 256. It has the shape of NanoTrack v2's backbone, so that it can learn that one's features.
    """

    channels = 48

    def __init__(self, widths: tuple[int, ...]) -> None:
        w1, w2, w3, w4, w5, w6, w7, w8 = widths
        super().__init__(
            conv_norm(3, w1, 3, 2),  # its channels are the first block's: that one widens nothing
            nn.Hardswish(),
            MobileBlock(w1, w1, 16, 3, 2, 8, hard=False),
            MobileBlock(16, w2, 24, 3, 2, 0, hard=False),
            MobileBlock(24, w3, 24, 3, 1, 0, hard=False),
            MobileBlock(24, w4, 40, 5, 2, 24, hard=True),
            MobileBlock(40, w5, 40, 5, 1, 64, hard=True),
            MobileBlock(40, w6, 40, 5, 1, 64, hard=True),
            MobileBlock(40, w7, 48, 5, 1, 32, hard=True),
            MobileBlock(48, w8, 48, 5, 1, 40, hard=True),
        )


class PatchStem(nn.Sequential):
    """(B, 3, S, S) -> (B, dim, S / stride, S / stride): one linear map a patch."""

    def __init__(self, config: ArtrackMambaConfig) -> None:
        super().__init__(nn.Conv2d(3, config.dim, config.stride, config.stride), nn.BatchNorm2d(config.dim))


def build_stem(config: ArtrackMambaConfig) -> nn.Module:
    """The stem that the configuration names: (B, 3, S, S) -> (B, stem_dim, S / stride, S / stride)."""
    if config.stem == "mobile":
        return MobileStem(config.stem_widths)
    return ConvStem(config) if config.stem == "conv" else PatchStem(config)
