"""The shape of an interpolator: every option, checked when it is made."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from ...errors import OptionError
from ...vision.motion import WAYS
from ..rife.config import RifeConfig
from ..training.tables import build

BackboneMode = Literal["hybrid", "mamba2_only", "gated_attn_only", "none"]
CARRIED = ("flow", "ssm")
FAR_SMALLER = 2
"""How much smaller the frames are that `far` sees."""


@dataclass(frozen=True)
class MixerConfig:
    """The Mamba-2 mixer of one level; see ``MixerShape``."""

    dim: int
    expand: int
    head_channels: int
    states: int
    conv_taps: int
    groups: int = 1

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
        return self.inner + 2 * self.groups * self.states


@dataclass(frozen=True)
class InterpolatorConfig:
    """Channels, layers and choices. Levels are named by their share of a side: 4 is a quarter.

    Attributes:
        channels: of the features at levels 4, 8, 16 and 32.
        encoder_depth: further 3×3 convolutions at each of these levels.
        stem_kernel: side of the convolution from pixels to level 4.
        backbone_mode: both branches of an LGS block, or one of them; "none" leaves the blocks out.
        lgs_layers: LGS blocks at levels 16 and 32.
        expand, head_channels, states, conv_taps: of the Mamba mixer.
        mixer: "mamba2" or "mamba1".
        mixer_shape: "own", as these say; "matched", as wide as the attention (MaTVLM's plan B), so x, B and C
            have ``dim`` rows each; "heads", with an x, B and C for each head of the attention (plan C).
        scan: "interleaved", both frames as one sequence, or "flip", each frame a sequence of its own.
        window, attention_heads: of the window attention; windows are ``window``² positions.
        attention_gate: whether a head's output is gated.
        window_frames: "both" lets a window see the same place of both frames, "each" only its own.
        channel_attention: "eca", "cab" (squeeze and excitation over convolutions) or "none".
        streams: residual streams; more than one are mixed by manifold-constrained hyper-connections.
        sinkhorn_iterations: of their projection; few of them are mHC-lite.
        mix_annealing: whether training ends with streams that are not mixed any more, as late gradients may
            explode otherwise; see ``HyperConnection``.
        correlation_channels, correlation_radius: of the local correlation at level 16; radius 0 is none.
        flow_width, flow_depth: channels and layers of the three flow scales, at levels 16, 8 and 4.
        flow_layers: "separable" (depthwise, then pointwise) or "full" 3×3 convolutions, at each scale.
        head_kernels: sides of the convolutions that give flow and mask, at each scale.
        hidden: channels handed from scale to scale beside flow and mask.
        warp: what finer flow scales see warped, "features" or "images" (beside features as they are).
        flow: whether frames are warped at all; without, residual and mask do everything (the plan's phase 1).
        refine: "quarter" (residual and mask at level 4), "patch" (the same, and then at full size out of
            patches of the warped frames) or "full" (a small U-net at full size).
        refine_width: its channels.
        refine_depth: 3×3 layers of the second look of "patch".
        start_flow: how a classical flow to start from is found, which the caller hands in: "none" for no such
            flow, or one of ``WAYS`` of ``vision.motion``.
        bend: whether it comes with how the motion bends, as the pairs before and after tell.
        rest: whether places whose motion cannot be told fall back to both frames as they are, see ``rest``.
        far_blocks: blocks of RIFE 4.25 that find a second motion at half the size, 1 to 5, which is chosen
            where it is better; 0 is none, see ``far``.
        kept_neurons: hidden channels of each LGS block's MLP that pruning left, level 32 first; empty is all.
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
    mixer: Literal["mamba2", "mamba1"] = "mamba2"
    mixer_shape: Literal["own", "matched", "heads"] = "own"
    scan: Literal["interleaved", "flip"] = "interleaved"
    window: int = 8
    attention_heads: int = 2
    attention_gate: bool = True
    window_frames: Literal["both", "each"] = "both"
    channel_attention: Literal["eca", "cab", "none"] = "eca"
    streams: int = 1
    sinkhorn_iterations: int = 20
    mix_annealing: bool = False
    correlation_channels: int = 24
    correlation_radius: int = 4
    flow_width: tuple[int, ...] = (64, 48, 32)
    flow_depth: tuple[int, ...] = (2, 3, 2)
    flow_layers: tuple[str, ...] = ("full", "separable", "separable")
    head_kernels: tuple[int, ...] = (3, 1, 1)
    hidden: int = 16
    warp: Literal["features", "images"] = "features"
    flow: bool = True
    refine: Literal["quarter", "patch", "full"] = "quarter"
    refine_width: int = 32
    refine_depth: int = 1
    start_flow: Literal["none", "dis", "dis-fine"] = "none"
    bend: bool = False
    rest: bool = False
    far_blocks: int = 0
    kept_neurons: tuple[int, ...] = ()
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
        object.__setattr__(self, "kept_neurons", tuple(self.kept_neurons))
        if self.kept_neurons and (len(self.kept_neurons) != sum(self.blocks) or min(self.kept_neurons) < 1):
            raise OptionError(
                f"kept_neurons is {list(self.kept_neurons)}", f"give {sum(self.blocks)} counts of at least 1"
            )
        for name, allowed in (
            ("backbone_mode", ("hybrid", "mamba2_only", "gated_attn_only", "none")),
            ("mixer", ("mamba2", "mamba1")),
            ("mixer_shape", ("own", "matched", "heads")),
            ("scan", ("interleaved", "flip")),
            ("warp", ("features", "images")),
            ("window_frames", ("both", "each")),
            ("channel_attention", ("eca", "cab", "none")),
            ("refine", ("quarter", "patch", "full")),
            ("start_flow", ("none", *WAYS)),
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
        scans = self.backbone_mode in ("hybrid", "mamba2_only") and any(self.lgs_layers)
        if "ssm" in self.carry and (not scans or self.scan == "flip"):
            raise OptionError(
                "carry names 'ssm' and the model has no Mamba layer over both frames",
                "carry 'flow', or nothing",
            )
        if self.mixer == "mamba1" and self.mixer_shape != "own":
            raise OptionError(
                f"mixer_shape is {self.mixer_shape!r}, which is one of Mamba-2", "give mixer = 'mamba2'"
            )
        if self.mix_annealing and self.streams == 1:
            raise OptionError("mix_annealing is on, and there is one stream", "give more streams")
        if self.carry and self.start_flow != "none":
            raise OptionError(
                f"start_flow is {self.start_flow!r} and carry is {self.carry}",
                "start from one of them: they are not trained together",
            )
        if self.bend and self.start_flow == "none":
            raise OptionError("bend is on and start_flow is 'none'", "start from a flow, which tells it")
        if self.rest and not (self.bend and self.refine == "patch"):
            raise OptionError(
                "rest is on without what tells it", "give bend = true and refine = 'patch', or leave it off"
            )
        if not 0 <= self.far_blocks <= len(RifeConfig().widths):
            raise OptionError(
                f"far_blocks is {self.far_blocks}", f"give 0 to {len(RifeConfig().widths)} blocks"
            )
        if self.far_blocks and not self.rest:
            raise OptionError(
                f"far_blocks is {self.far_blocks}, and what it is chosen beside is not there",
                "give rest = true",
            )
        if self.refine_depth > 1 and self.refine != "patch":
            raise OptionError(
                f"refine_depth is {self.refine_depth}, and refine {self.refine!r}", "give refine = 'patch'"
            )
        for name in (
            *("stem_kernel", "window", "streams", "sinkhorn_iterations"),
            *("hidden", "refine_width", "refine_depth"),
        ):
            if getattr(self, name) < 1:
                raise OptionError(f"{name} is {getattr(self, name)}", "give at least 1")

    @property
    def multiple(self) -> int:
        """What the height and the width of a frame must be multiples of."""
        return FAR_SMALLER * RifeConfig().multiple if self.far_blocks else 32

    @property
    def blocks(self) -> tuple[int, int]:
        """LGS blocks at levels 16 and 32 that there are."""
        return (0, 0) if self.backbone_mode == "none" else (self.lgs_layers[0], self.lgs_layers[1])

    @property
    def dims(self) -> tuple[int, ...]:
        """Channels of each LGS block, level 32 first."""
        return (self.channels[3],) * self.blocks[1] + (self.channels[2],) * self.blocks[0]

    def neurons_of(self, block: int) -> int:
        """Hidden channels of a block's MLP; blocks are counted from level 32 on."""
        return self.kept_neurons[block] if self.kept_neurons else 2 * self.dims[block]

    def mixer_of(self, dim: int) -> MixerConfig:
        """The mixer of a level with ``dim`` channels."""
        head = dim // self.attention_heads
        if self.mixer_shape == "matched":
            return MixerConfig(dim, 1, head, dim, self.conv_taps)
        if self.mixer_shape == "heads":
            return MixerConfig(dim, 1, head, head, self.conv_taps, self.attention_heads)
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
        start_flow="dis-fine",
        bend=True,
        rest=True,
    )


def small() -> InterpolatorConfig:
    """As ``nano``, with a second motion for what moves far, and a wider second look."""
    return replace(nano(), far_blocks=4, refine_width=48, refine_depth=2)


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
