"""The shape of an ARTrackMamba tracker: every option, checked when it is made."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from ...errors import OptionError
from ..training.tables import build

MOBILE_WIDTHS = (16, 72, 88, 96, 240, 240, 120, 144)  # MobileNetV3-Small, table 2


@dataclass(frozen=True)
class ArtrackMambaConfig:
    """Sizes in pixels, channels or layers. ``stride`` is pixels a token on each side."""

    template_size: int = 128
    template_factor: float = 2.0  # side of the template crop in units of sqrt(w * h)
    search_size: int = 192
    search_factor: float = 3.0
    stem: Literal["conv", "mobile", "patch"] = "conv"
    stem_channels: tuple[int, ...] = (16, 24, 40, 80)  # channels at stride 2, 4, 8 and 16 (conv stem)
    stride: int = 16
    dim: int = 96
    layers: int = 3
    expand: int = 2
    head_channels: int = 48  # channels of a state-space head
    states: int = 32  # state size of a head (N)
    conv_taps: int = 4
    directions: Literal["alternate", "both"] = "alternate"
    temporal: Literal["restart", "carry"] = "carry"
    head_dim: int = 96
    # What pruning leaves; the defaults are the whole model.
    stem_widths: tuple[int, ...] = MOBILE_WIDTHS  # channels inside each block of the mobile stem
    head_widths: tuple[int, int] | tuple[()] = ()  # inside the head's two blocks; empty: 2 * head_dim
    kept_heads: int = 0  # state-space heads of a direction; 0: dim * expand / head_channels
    norm_epsilon: float = 1e-5  # of the mixers' gated norm
    look_dim: int = 0  # length of the vectors by which looks are compared; 0: there is no `look`
    look_factor: float = 1.5  # side of what `look` sees in units of sqrt(w * h)

    def __post_init__(self) -> None:
        for name in ("stem_channels", "stem_widths", "head_widths"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        for name in ("template_size", "search_size"):
            if getattr(self, name) % self.stride:
                raise OptionError(
                    f"{name} is {getattr(self, name)}, which is no multiple of the stride {self.stride}",
                    f"choose a multiple of {self.stride}",
                )
        if not self.kept_heads and (self.dim * self.expand) % self.head_channels:
            raise OptionError(
                f"dim * expand is {self.dim * self.expand}, "
                f"which is no multiple of head_channels {self.head_channels}",
                "choose sizes that divide",
            )
        for name, allowed in (
            ("stem", ("conv", "mobile", "patch")),
            ("directions", ("alternate", "both")),
            ("temporal", ("restart", "carry")),
        ):
            if getattr(self, name) not in allowed:
                raise OptionError(f"{name} is {getattr(self, name)!r}", f"choose one of {', '.join(allowed)}")
        for name, lengths in (("stem_widths", (8,)), ("head_widths", (0, 2))):
            widths = getattr(self, name)
            if len(widths) not in lengths or any(width < 1 for width in widths):
                raise OptionError(f"{name} is {list(widths)}", f"give {lengths[-1]} counts of at least 1")
        if self.kept_heads < 0:
            raise OptionError(f"kept_heads is {self.kept_heads}", "give a count, or 0 for all")
        if self.look_dim < 0 or self.look_factor <= 0 or (self.look_dim and self.stem != "mobile"):
            raise OptionError(
                f"look_dim is {self.look_dim}, look_factor {self.look_factor}, and the stem is {self.stem!r}",
                "give a length and a factor above 0 with the stem 'mobile', or look_dim 0",
            )

    @property
    def template_grid(self) -> int:
        """Tokens on each side of the template crop."""
        return self.template_size // self.stride

    @property
    def search_grid(self) -> int:
        """Tokens on each side of the search crop."""
        return self.search_size // self.stride

    @property
    def stem_dim(self) -> int:
        """Channels of the features that the stem gives."""
        return 48 if self.stem == "mobile" else self.dim

    @property
    def inner(self) -> int:
        """Channels of the scan's input, over all heads."""
        return self.heads * self.head_channels

    @property
    def heads(self) -> int:
        """State-space heads of one direction of one layer."""
        return self.kept_heads or self.dim * self.expand // self.head_channels

    @property
    def conv_channels(self) -> int:
        """Channels that pass the causal convolution: x, B and C."""
        return self.inner + 2 * self.states

    def to_dict(self) -> dict[str, Any]:
        """Every option as JSON: what ``from_dict`` reads back."""
        values = asdict(self)
        return {name: list(v) if isinstance(v, tuple) else v for name, v in values.items()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ArtrackMambaConfig:
        """Raises OptionError on an unknown option: none is ever dropped in silence."""
        return build(cls, values, "model")


def nano() -> ArtrackMambaConfig:
    """The size meant for CPUs."""
    return ArtrackMambaConfig()


def tiny() -> ArtrackMambaConfig:
    """The plain form with a patch stem and both directions in every block, at ARTrack's crop sizes."""
    return ArtrackMambaConfig(
        search_size=256,
        search_factor=4.0,
        stem="patch",
        dim=192,
        layers=12,
        head_channels=64,
        states=64,
        directions="both",
        head_dim=192,
    )
