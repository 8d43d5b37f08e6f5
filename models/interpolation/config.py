"""The shape of an interpolator: every option, checked when it is made."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from ...errors import OptionError
from ..training.tables import build

BackboneMode = Literal["hybrid", "mamba2_only", "gated_attn_only"]
CARRIED = ("flow", "ssm")


@dataclass(frozen=True)
class MixerConfig:
    """The Mamba-2 mixer of one level; see ``MixerShape``."""

    dim: int
    expand: int
    head_channels: int
    states: int
    conv_taps: int

    @property
    def inner(self) -> int:
        """Channels of the scan's input, over all heads."""
        return self.dim * self.expand

    @property
    def heads(self) -> int:
        """State-space heads."""
        return self.inner // self.head_channels

    @property
    def conv_channels(self) -> int:
        """Channels that pass the causal convolution: x, B and C."""
        return self.inner + 2 * self.states


@dataclass(frozen=True)
class InterpolatorConfig:
    """Channels, layers and choices. Levels are named by their share of a side: 4 is a quarter.

    Attributes:
        channels: of the features at levels 4, 8, 16 and 32.
        encoder_depth: further 3×3 convolutions at each of these levels.
        stem_kernel: side of the convolution from pixels to level 4.
        backbone_mode: both branches of an LGS block, or one of them.
        lgs_layers: LGS blocks at levels 16 and 32.
        expand, head_channels, states, conv_taps: of the Mamba-2 mixer.
        window, attention_heads: of the gated window attention; windows are ``window``² positions.
        window_frames: "both" lets a window see the same place of both frames, "each" only its own.
        channel_attention: "eca", "cab" (squeeze and excitation over convolutions) or "none".
        streams: residual streams; more than one are mixed by manifold-constrained hyper-connections.
        correlation_channels, correlation_radius: of the local correlation at level 16; radius 0 is none.
        flow_width, flow_depth: channels and layers of the three flow scales, at levels 16, 8 and 4.
        flow_layers: "separable" (depthwise, then pointwise) or "full" 3×3 convolutions, at each scale.
        head_kernels: sides of the convolutions that give flow and mask, at each scale.
        hidden: channels handed from scale to scale beside flow and mask.
        flow: whether frames are warped at all; without, residual and mask do everything (the plan's phase 1).
        refine: "quarter" (residual and mask at level 4), "patch" (the same, and then at full size out of
            patches of the warped frames) or "full" (a small U-net at full size).
        refine_width: its channels.
        start_flow: "dis" where the caller hands in a classical flow to start from, see ``vision.motion``.
        bend: whether it comes with how the motion bends, as the pairs before and after tell.
        carry: what the next pair starts from: "flow", "ssm", both or nothing.
    """

    channels: tuple[int, ...] = (16, 32, 48, 64)
    encoder_depth: tuple[int, ...] = (0, 1, 1, 0)
    stem_kernel: int = 7
    backbone_mode: BackboneMode = "hybrid"
    lgs_layers: tuple[int, ...] = (0, 1)
    expand: int = 1
    head_channels: int = 32
    states: int = 16
    conv_taps: int = 4
    window: int = 8
    attention_heads: int = 2
    window_frames: Literal["both", "each"] = "both"
    channel_attention: Literal["eca", "cab", "none"] = "eca"
    streams: int = 1
    correlation_channels: int = 24
    correlation_radius: int = 4
    flow_width: tuple[int, ...] = (64, 48, 32)
    flow_depth: tuple[int, ...] = (2, 3, 2)
    flow_layers: tuple[str, ...] = ("full", "separable", "separable")
    head_kernels: tuple[int, ...] = (3, 1, 1)
    hidden: int = 16
    flow: bool = True
    refine: Literal["quarter", "patch", "full"] = "quarter"
    refine_width: int = 32
    start_flow: Literal["none", "dis"] = "none"
    bend: bool = False
    carry: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, length in (
            ("channels", 4),
            ("encoder_depth", 4),
            ("lgs_layers", 2),
            ("flow_width", 3),
            ("flow_depth", 3),
            ("flow_layers", 3),
            ("head_kernels", 3),
        ):
            value = tuple(getattr(self, name))
            object.__setattr__(self, name, value)
            if len(value) != length:
                raise OptionError(f"{name} is {value!r}", f"give {length} values")
        object.__setattr__(self, "carry", tuple(self.carry))
        for name, allowed in (
            ("backbone_mode", ("hybrid", "mamba2_only", "gated_attn_only")),
            ("window_frames", ("both", "each")),
            ("channel_attention", ("eca", "cab", "none")),
            ("refine", ("quarter", "patch", "full")),
            ("start_flow", ("none", "dis")),
        ):
            if getattr(self, name) not in allowed:
                raise OptionError(f"{name} is {getattr(self, name)!r}", f"choose one of {', '.join(allowed)}")
        for name, values, known in (
            ("flow_layers", self.flow_layers, ("separable", "full")),
            ("carry", self.carry, CARRIED),
        ):
            unknown = [value for value in values if value not in known]
            if unknown:
                raise OptionError(f"{name} names {unknown[0]!r}", f"choose among {', '.join(known)}")
        for dim, layers in zip(self.channels[2:], self.lgs_layers, strict=True):
            for name, parts, whole in (
                ("head_channels", self.head_channels, dim * self.expand),
                ("attention_heads", self.attention_heads, dim),
            ):
                if layers and (parts < 1 or whole % parts):
                    raise OptionError(f"{name} is {parts}, which does not divide {whole}", "choose a divisor")
        if "ssm" in self.carry and (self.backbone_mode == "gated_attn_only" or not any(self.lgs_layers)):
            raise OptionError(
                "carry names 'ssm' and the model has no Mamba-2 layer", "carry 'flow', or nothing"
            )
        if self.carry and self.start_flow != "none":
            raise OptionError(
                f"start_flow is {self.start_flow!r} and carry is {self.carry}",
                "start from one of them: they are not trained together",
            )
        if self.bend and self.start_flow == "none":
            raise OptionError("bend is on and start_flow is 'none'", "start from a flow, which tells it")
        for name in ("stem_kernel", "window", "streams", "hidden", "refine_width"):
            if getattr(self, name) < 1:
                raise OptionError(f"{name} is {getattr(self, name)}", "give at least 1")

    @property
    def multiple(self) -> int:
        """What the height and the width of a frame must be multiples of."""
        return 32

    def mixer(self, dim: int) -> MixerConfig:
        """The mixer of a level with ``dim`` channels."""
        return MixerConfig(dim, self.expand, self.head_channels, self.states, self.conv_taps)

    def to_dict(self) -> dict[str, Any]:
        """Every option as JSON: what ``from_dict`` reads back."""
        return {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> InterpolatorConfig:
        """Raises OptionError on an unknown option: none is ever dropped in silence."""
        return build(cls, values, "model")


def nano() -> InterpolatorConfig:
    """The size meant for CPUs: it mends a classical flow, and looks at patches of the warped frames."""
    return InterpolatorConfig(
        encoder_depth=(2, 1, 1, 0),
        flow_depth=(2, 2, 2),
        correlation_radius=1,
        refine="patch",
        refine_width=32,
        start_flow="dis",
        bend=True,
    )


def base() -> InterpolatorConfig:
    """The size of the research plan, meant for GPUs: LGS blocks on two levels, hyper-connections, a U-net."""
    return InterpolatorConfig(
        channels=(48, 96, 192, 256),
        encoder_depth=(1, 2, 2, 1),
        lgs_layers=(2, 4),
        expand=2,
        head_channels=64,
        states=64,
        attention_heads=8,
        window_frames="each",
        streams=2,
        correlation_channels=64,
        flow_width=(192, 128, 96),
        flow_depth=(4, 4, 4),
        flow_layers=("full", "full", "full"),
        head_kernels=(3, 3, 3),
        hidden=32,
        refine="full",
        refine_width=32,
    )
