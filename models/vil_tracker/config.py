"""The shape of a ViL-Tracker: every option, checked when it is made."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from ...errors import OptionError
from ..training.tables import build

ARCHITECTURE = "vil_tracker"
BLOCK_SIZE = 4
"""Channels that a headwise projection mixes, and the number of mLSTM heads: one number in ViL's own code."""


@dataclass(frozen=True)
class VilTrackerConfig:
    """Sizes in pixels, channels or layers; the defaults are the full tracker, ViL-S with its heads."""

    template_size: int = 128
    template_factor: float = 2.0  # side of the template crop in units of sqrt(w * h)
    search_size: int = 256
    search_factor: float = 4.0
    stride: int = 16  # pixels a token on each side
    dim: int = 384
    layers: int = 24
    expand: int = 2
    conv_taps: int = 4
    block: Literal["gelu", "silu"] = "gelu"
    """The mLSTM block: "gelu" has GELU, an output gate σ(z) and layer scale, "silu" is that of the published
    ViL v1 weights: SiLU, an output gate SiLU(z), no layer scale."""
    layer_scale: float = 0.1  # what layer scale starts at
    expert_layers: int = 2  # the last layers, which have a mixture of experts
    experts: int = 4
    expert_hidden: int = 1536
    shared_hidden: int = 768
    temporal: Literal["film", "none"] = "film"
    film_hidden: int = 512
    film_rank: int = 32
    head_dims: tuple[int, int, int] = (256, 128, 32)  # channels that all maps share, then of each tower
    uncertainty_dims: tuple[int, int] = (128, 64)
    kept_heads: int = 0  # heads of the matrix memory that pruning left in every layer; 0 is all

    def __post_init__(self) -> None:
        for name in ("head_dims", "uncertainty_dims"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        for name in ("template_size", "search_size"):
            if getattr(self, name) % self.stride:
                raise OptionError(
                    f"{name} is {getattr(self, name)}, which is no multiple of the stride {self.stride}",
                    f"choose a multiple of {self.stride}",
                )
        whole = self.dim * self.expand
        if whole % (BLOCK_SIZE * BLOCK_SIZE):
            raise OptionError(
                f"dim * expand is {whole}, which is no multiple of {BLOCK_SIZE * BLOCK_SIZE}",
                f"its {BLOCK_SIZE} heads are projected in blocks of {BLOCK_SIZE}: choose a multiple",
            )
        if not 0 <= self.kept_heads <= BLOCK_SIZE or self.inner % (BLOCK_SIZE * BLOCK_SIZE):
            raise OptionError(
                f"kept_heads is {self.kept_heads}, of {self.head_width} channels each",
                f"give 0 (all) to {BLOCK_SIZE}, with a multiple of {BLOCK_SIZE * BLOCK_SIZE} channels in all",
            )
        for name, allowed in (("block", ("gelu", "silu")), ("temporal", ("film", "none"))):
            if getattr(self, name) not in allowed:
                raise OptionError(f"{name} is {getattr(self, name)!r}", f"choose one of {', '.join(allowed)}")
        if not 0 <= self.expert_layers <= self.layers or self.layers < 1:
            raise OptionError(
                f"layers is {self.layers} and expert_layers {self.expert_layers}",
                "give at least one layer, and no more with experts than there are",
            )
        for name, count in (("head_dims", 3), ("uncertainty_dims", 2)):
            if len(getattr(self, name)) != count:
                raise OptionError(f"{name} is {getattr(self, name)}", f"give {count} numbers of channels")

    @property
    def template_grid(self) -> int:
        """Tokens on each side of the template crop."""
        return self.template_size // self.stride

    @property
    def search_grid(self) -> int:
        """Tokens on each side of the search crop."""
        return self.search_size // self.stride

    @property
    def inner(self) -> int:
        """Channels of the scan, over all heads."""
        return self.heads * self.head_width

    @property
    def heads(self) -> int:
        """Heads of the matrix memory."""
        return self.kept_heads or BLOCK_SIZE

    @property
    def head_width(self) -> int:
        """Channels of a head."""
        return self.dim * self.expand // BLOCK_SIZE

    def to_dict(self) -> dict[str, Any]:
        """Every option as JSON: what ``from_dict`` reads back."""
        values = asdict(self)
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> VilTrackerConfig:
        """Raises OptionError on an unknown option: none is ever dropped in silence."""
        return build(cls, values, "model")


def small() -> VilTrackerConfig:
    """The full tracker: 24 blocks of ViL-S, 36.3 million parameters."""
    return VilTrackerConfig()


def mini() -> VilTrackerConfig:
    """The same tracker in 0.6 million parameters, which a CPU trains in minutes."""
    return VilTrackerConfig(
        template_size=64,
        search_size=128,
        dim=96,
        layers=4,
        expert_layers=1,
        expert_hidden=96,
        shared_hidden=96,
        film_hidden=32,
        film_rank=8,
        head_dims=(48, 48, 24),
        uncertainty_dims=(24, 24),
    )
