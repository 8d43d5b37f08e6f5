"""RIFE 4.x in streaming form: a frame's features are its state; flow and synthesis are one call, at any time.

``encode(image) -> second.*``, ``interpolate(t, first.*, second.*) -> image``. Names of weights are those of
the original's ``flownet``. Unlike the original, frames are not clamped: the engine's are within [0, 1].
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ...bundles import FunctionSpec, ModelSpec, TensorSpec
from ...plugins import Operators
from ..warp import Warp, choose_warp
from .config import FLOW, MASK, RifeConfig

State = dict[str, Tensor]
SLOPE = 0.2


class Encoder(nn.Module):
    """Features of one frame at its size: a layer of stride 2, some more, and one that enlarges."""

    def __init__(self, config: RifeConfig) -> None:
        super().__init__()
        width, last = config.encoder_width, config.encoder_layers - 1
        for index in range(last):
            layer = nn.Conv2d(width if index else 3, width, 3, 1 if index else 2, 1)
            self.add_module(f"cnn{index}", layer)
        self.add_module(f"cnn{last}", nn.ConvTranspose2d(width, config.features, 4, 2, 1))
        self.activates = config.encoder_layers > 2  # 4.7 to 4.9 have nothing between their two layers

    def forward(self, image: Tensor) -> Tensor:
        """image (B, 3, H, W) in [0, 1] -> (B, features, H, W)."""
        *inner, last = self.children()
        for layer in inner:
            image = layer(image)
            if self.activates:
                image = functional.leaky_relu(image, SLOPE)
        out: Tensor = last(image)
        return out


class Residual(nn.Module):
    """A convolution, scaled channel by channel, beside what it was given."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, 1, 1)
        self.beta = nn.Parameter(torch.ones(1, width, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """x (B, C, H, W) -> the same."""
        return functional.leaky_relu(self.conv(x) * self.beta + x, SLOPE)


class Block(nn.Module):
    """One scale: what it is shown, smaller, becomes changes of the flow, a mask, and what it hands on."""

    def __init__(self, config: RifeConfig, index: int) -> None:
        super().__init__()
        width, self.scale = config.widths[index], config.scales[index]
        half = width // 2
        self.conv0 = nn.Sequential(entry(config.inputs(index), half), entry(half, width))
        self.convblock = nn.Sequential(*(Residual(width) for _ in range(config.depth)))
        self.lastconv = nn.Sequential(
            nn.ConvTranspose2d(width, 4 * config.outputs, 4, 2, 1), nn.PixelShuffle(2)
        )

    def forward(self, shown: Tensor, flow: Tensor | None) -> Tensor:
        """shown (B, C, H, W), the flow so far (B, 4, H, W) -> (B, outputs, H, W), flows in pixels."""
        x = resized(shown, 1.0 / self.scale)
        if flow is not None:
            x = torch.cat([x, resized(flow, 1.0 / self.scale) / self.scale], dim=1)
        found = resized(self.lastconv(self.convblock(self.conv0(x))), float(self.scale))
        return torch.cat([found[:, :FLOW] * self.scale, found[:, FLOW:]], dim=1)


def follow(
    blocks: Sequence[nn.Module], config: RifeConfig, warp: Warp, first: Tensor, second: Tensor, t: Tensor
) -> tuple[Tensor, Tensor]:
    """Both frames with their features (B, C, H, W), t (B, 1) -> flow (B, 4, H, W) and mask (B, 1, H, W).

    The flow leads to the first frame and to the second, in pixels; the mask is the logit of the first one's
    share. ``blocks`` may be the first of a network only.
    """
    when = t.view(-1, 1, 1, 1).expand(-1, 1, *first.shape[2:])
    found = blocks[0](
        torch.cat([first[:, :3], second[:, :3], first[:, 3:], second[:, 3:], when], dim=1), None
    )
    flow, mask = found[:, :FLOW], found[:, FLOW : FLOW + MASK]
    for block in blocks[1:]:
        one, other = warp(first, flow[:, :2]), warp(second, flow[:, 2:])
        carried = found[:, FLOW + MASK : FLOW + MASK + config.carried]
        shown = [one[:, :3], other[:, :3], one[:, 3:], other[:, 3:], when, mask, carried]
        found = block(torch.cat(shown, dim=1), flow)
        flow, latest = flow + found[:, :FLOW], found[:, FLOW : FLOW + MASK]
        mask = mask + latest if config.mask_added else latest
    return flow, mask


def entry(inputs: int, outputs: int) -> nn.Sequential:
    """A convolution that halves."""
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, 2, 1), nn.LeakyReLU(SLOPE))


def resized(x: Tensor, times: float) -> Tensor:
    """Bilinear, without smoothing, as the original does it."""
    if times == 1.0:
        return x
    return functional.interpolate(x, scale_factor=times, mode="bilinear", align_corners=False)


class Rife(nn.Module):
    """A RIFE network. Images are RGB (B, 3, H, W) in [0, 1], H and W multiples of ``config.multiple``."""

    def __init__(self, config: RifeConfig, operators: Operators) -> None:
        super().__init__()
        self.config, self.multiple = config, config.multiple
        self._warp = choose_warp(operators)
        for index in range(len(config.widths)):
            self.add_module(f"block{index}", Block(config, index))
        self.encode = Encoder(config) if config.features else None

    def features(self, image: Tensor) -> State:
        """What is kept of a frame: itself, and its features."""
        return {"image": image} if self.encode is None else {"image": image, "features": self.encode(image)}

    def forward(self, first: State, second: State, t: Tensor) -> Tensor:
        """Both frames and t (B, 1) in (0, 1) -> the frame between them (B, 3, H, W)."""
        ones, others = (torch.cat(list(one.values()), dim=1) for one in (first, second))
        blocks = [self.get_submodule(f"block{index}") for index in range(len(self.config.widths))]
        flow, mask = follow(blocks, self.config, self._warp, ones, others, t)
        one, other = self._warp(first["image"], flow[:, :2]), self._warp(second["image"], flow[:, 2:])
        return other + torch.sigmoid(mask) * (one - other)

    def functions(self) -> dict[str, Any]:
        """The named functions of the spec, as callables over named tensors and a state."""
        return {"encode": self._encode_function, "interpolate": self._interpolate_function}

    def _encode_function(self, inputs: State, state: State) -> tuple[State, State]:
        return {}, {f"second.{name}": value for name, value in self.features(inputs["image"]).items()}

    def _interpolate_function(self, inputs: State, state: State) -> tuple[State, State]:
        names = self._kept()
        first, second = ({name: state[f"{owner}.{name}"] for name in names} for owner in ("first", "second"))
        return {"image": self(first, second, inputs["t"]).clamp(0.0, 1.0)}, {}

    def _kept(self) -> list[str]:
        return ["image", "features"] if self.config.features else ["image"]

    def spec(self, name: str) -> ModelSpec:
        """Everything that a runtime must know of this model."""
        channels = {"image": 3, "features": self.config.features}
        image = TensorSpec("image", "float32", ("batch", 3, "height", "width"))
        state = tuple(
            TensorSpec(f"{owner}.{key}", "float32", ("batch", channels[key], "height", "width"))
            for owner in ("first", "second")
            for key in self._kept()
        )
        return ModelSpec(
            name=name,
            task="interpolation",
            architecture="rife",
            config=self.config.to_dict(),
            preprocess={"multiple": self.config.multiple},
            functions={
                "encode": FunctionSpec((image,), (), (), tuple(f"second.{key}" for key in self._kept())),
                "interpolate": FunctionSpec(
                    (TensorSpec("t", "float32", ("batch", 1)),),
                    (image,),
                    tuple(one.name for one in state),
                    (),
                ),
            },
            state=state,
        )
