"""The shape of an ARTrackMamba with a trajectory head: every option, checked when it is made."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

from ...errors import OptionError
from ..training.tables import build

Mixer = Literal["mamba1", "mamba2"]
Directions = Literal["both", "alternate"]
Temporal = Literal["restart", "carry"]
Positions = Literal["learned", "rotary", "both"]
Order = Literal["raster", "zigzag", "hilbert"]

COMMANDS = 5
"""Command tokens: left, top, right, bottom, score."""
SPECIAL = 6
"""Words of the vocabulary beyond the bins: the five commands, and padding."""


@dataclass(frozen=True)
class ArtrackMambaV2Config:
    """Sizes in pixels, channels or layers; crops, tokens and vocabulary as in ARTrackV2.

    ``states`` 0 is 16 for Mamba-1 and 64 for Mamba-2. ``attention_layers`` counts from 0, or from the end
    where negative.
    """

    template_size: int = 128
    template_factor: float = 2.0  # side of the template crop in units of sqrt(w * h)
    search_size: int = 256
    search_factor: float = 4.0
    patch: int = 16
    dim: int = 192
    layers: int = 24
    mixer: Mixer = "mamba1"
    expand: int = 2
    states: int = 0
    head_channels: int = 64  # of a Mamba-2 head
    conv_taps: int = 4
    directions: Directions = "both"  # both in every layer (as Vim), or one and the other in turn
    causal: bool = False  # a frame's own tokens are only ever scanned forwards
    temporal: Temporal = "restart"
    positions: Positions = "learned"
    order: Order = "raster"  # in which the patches of a crop are scanned
    attention_layers: tuple[int, ...] = ()  # layers that attend in place of scanning
    attention_heads: int = 3
    bins: int = 400
    span: int = 2  # the vocabulary reaches over this many sides of the search crop (RANGE)
    history: int = 7  # boxes told to the model (PRENUM)
    templates: int = 1
    dynamic: bool = True  # a second template, drawn anew by the model on every frame
    redraw_dim: int = 192
    redraw_layers: int = 2
    redraw_heads: int = 3
    redraw_hidden: float = 0.75  # share of the dynamic template's tokens hidden while training
    # What pruning left in every layer; 0 is all.
    kept_channels: int = 0  # of a Mamba-1 scan
    kept_heads: int = 0  # of a Mamba-2 scan
    kept_attention_heads: int = 0
    redraw_neurons: int = 0  # hidden channels of the redrawing layers' MLP
    norm_epsilon: float = 1e-5  # of Mamba-2's gated norm

    def __post_init__(self) -> None:
        object.__setattr__(self, "attention_layers", tuple(self.attention_layers))
        if not self.states:
            object.__setattr__(self, "states", 16 if self.mixer == "mamba1" else 64)
        for name, allowed in (
            ("mixer", get_args(Mixer)),
            ("directions", get_args(Directions)),
            ("temporal", get_args(Temporal)),
            ("positions", get_args(Positions)),
            ("order", get_args(Order)),
        ):
            if getattr(self, name) not in allowed:
                raise OptionError(f"{name} is {getattr(self, name)!r}", f"choose one of {', '.join(allowed)}")
        for name in ("template_size", "search_size"):
            if getattr(self, name) < self.patch or getattr(self, name) % self.patch:
                raise OptionError(
                    f"{name} is {getattr(self, name)}, which is no multiple of the patch {self.patch}",
                    f"choose a multiple of {self.patch}",
                )
        for name, low, high in (
            ("history", 1, 20),
            ("templates", 1, 20),
            ("span", 1, 4),
            ("conv_taps", 2, 16),
            ("layers", 1, 200),
            ("bins", 8, 4000),
        ):
            if not low <= getattr(self, name) <= high:
                raise OptionError(f"{name} is {getattr(self, name)}", f"give {low} to {high}")
        self._check_widths()
        if self.order == "hilbert" and any(
            grid & (grid - 1) for grid in (self.template_grid, self.search_grid)
        ):
            raise OptionError(
                f"crops of {self.template_grid} and {self.search_grid} patches a side have no Hilbert curve",
                "choose sizes with a power of two of patches, or another order",
            )
        wrong = [index for index in self.attention_layers if not -self.layers <= index < self.layers]
        if wrong:
            raise OptionError(f"attention_layers names layer {wrong[0]}", f"there are {self.layers} layers")
        if not 0 <= self.redraw_hidden < 1:
            raise OptionError(f"redraw_hidden is {self.redraw_hidden}", "give a share from 0 to below 1")

    def _check_widths(self) -> None:
        rules = [("attention_heads", self.dim, "dim"), ("redraw_heads", self.redraw_dim, "redraw_dim")]
        if self.mixer == "mamba2":
            rules.append(("head_channels", self.dim * self.expand, "dim * expand"))
        for name, whole, what in rules:
            if whole % getattr(self, name):
                raise OptionError(
                    f"{what} is {whole}, which is no multiple of {name} {getattr(self, name)}",
                    "choose sizes that divide",
                )
        for name, whole in (
            ("kept_channels", self.dim * self.expand if self.mixer == "mamba1" else 0),
            ("kept_heads", self.dim * self.expand // self.head_channels if self.mixer == "mamba2" else 0),
            ("kept_attention_heads", self.attention_heads),
            ("redraw_neurons", 4 * self.redraw_dim),
        ):
            if not 0 <= getattr(self, name) <= whole:
                raise OptionError(f"{name} is {getattr(self, name)}", f"give 0 (all) to {whole}")
        if self.positions != "learned":
            for what, width in (("states", self.states), ("dim / attention_heads", self.attention_width)):
                if width % 4:
                    raise OptionError(
                        f"{what} is {width}, and rotary positions turn it in fours", "choose a multiple of 4"
                    )

    @property
    def template_grid(self) -> int:
        """Patches on each side of the template crop."""
        return self.template_size // self.patch

    @property
    def search_grid(self) -> int:
        """Patches on each side of the search crop."""
        return self.search_size // self.patch

    @property
    def inner(self) -> int:
        """Channels of the scan's input."""
        if self.mixer == "mamba2":
            return self.heads * self.head_channels
        return self.kept_channels or self.dim * self.expand

    @property
    def heads(self) -> int:
        """State-space heads of one direction of one Mamba-2 layer."""
        return self.kept_heads or self.dim * self.expand // self.head_channels

    @property
    def step_rank(self) -> int:
        """Rank of Mamba-1's step sizes, as in Vim."""
        return -(-self.dim // 16)

    @property
    def attention_width(self) -> int:
        """Channels of an attention head."""
        return self.dim // self.attention_heads

    @property
    def attending_heads(self) -> int:
        """Attention heads that there are."""
        return self.kept_attention_heads or self.attention_heads

    @property
    def attention_inner(self) -> int:
        """Channels of queries, keys and values."""
        return self.attending_heads * self.attention_width

    @property
    def attending(self) -> frozenset[int]:
        """The layers that attend, counted from 0."""
        return frozenset(index % self.layers for index in self.attention_layers)

    @property
    def places(self) -> int:
        """Bins of a coordinate: the words that a box is made of."""
        return self.bins * self.span

    @property
    def words(self) -> int:
        """Size of the vocabulary."""
        return self.places + SPECIAL

    @property
    def frame_tokens(self) -> int:
        """Tokens that a frame brings: dynamic template, search crop, history, commands."""
        dynamic = self.template_grid**2 if self.dynamic else 0
        return dynamic + self.search_grid**2 + 4 * self.history + COMMANDS

    def to_dict(self) -> dict[str, Any]:
        """Every option as JSON: what ``from_dict`` reads back."""
        values = asdict(self)
        values["attention_layers"] = list(self.attention_layers)
        return values

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ArtrackMambaV2Config:
        """Raises OptionError on an unknown option: none is ever dropped in silence."""
        return build(cls, values, "model")


def tiny() -> ArtrackMambaV2Config:
    """The width of Vim-Ti, whose weights it can start from."""
    return ArtrackMambaV2Config()


def small() -> ArtrackMambaV2Config:
    """The width of Vim-S."""
    return ArtrackMambaV2Config(dim=384, attention_heads=6, redraw_dim=384, redraw_layers=4, redraw_heads=6)


def base() -> ArtrackMambaV2Config:
    """The width of Vim-B, with ARTrackV2's own decoder of the dynamic template."""
    return ArtrackMambaV2Config(dim=768, attention_heads=12, redraw_dim=512, redraw_layers=8, redraw_heads=16)
