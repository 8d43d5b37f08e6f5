"""The shape of a Mamba classifier: every option, checked when it is made."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

from ...errors import OptionError
from ..training.tables import build

KEPT = ("kept_channels", "kept_states", "kept_heads", "kept_neurons")


@dataclass(frozen=True)
class ClassifierConfig:
    """Mamba-Small by default: 16.5 million parameters with ten labels.

    Attributes:
        size, patch: side of the picture and of a patch, in pixels; a patch is a token.
        dim: channels of a token (d_model); the scan has ``expand`` times as many (d_inner).
        layers: blocks, each a mixer and an MLP.
        mixer: "mamba1", or "attention" of ``attention_heads`` heads, which makes it a ViT of the same width.
        states: size of the state of one channel (d_state).
        conv_taps: of the causal convolution before the scan (d_conv).
        dt_rank: of the projection to the step sizes; 0 is a full one, as in the plan.
        mlp_ratio: hidden channels of the MLP, in units of ``dim``.
        drop_path: share of samples that leave out the last block's branches in training; earlier blocks
            leave out less, the first none.
        mean, std: of red, green and blue in [0, 1]; pictures come less the mean, over the deviation.
        labels: names of the classes, in the order of the outputs.
        kept_channels, kept_states, kept_heads, kept_neurons: what pruning left of the scan's channels, of a
            channel's states, of the heads and of the MLP's hidden channels, a count a layer; empty is all.
    """

    size: int = 32
    patch: int = 4
    dim: int = 192
    layers: int = 24
    mixer: Literal["mamba1", "attention"] = "mamba1"
    attention_heads: int = 3
    expand: int = 2
    states: int = 16
    conv_taps: int = 4
    dt_rank: int = 0
    mlp_ratio: float = 4.0
    drop_path: float = 0.1
    mean: tuple[float, ...] = (0.4914, 0.4822, 0.4465)
    std: tuple[float, ...] = (0.2470, 0.2435, 0.2616)
    labels: tuple[str, ...] = ()
    kept_channels: tuple[int, ...] = ()
    kept_states: tuple[int, ...] = ()
    kept_heads: tuple[int, ...] = ()
    kept_neurons: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        for name in ("mean", "std", "labels", *KEPT):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        leasts = {"conv_taps": 2, "dt_rank": 0}
        for name in ("size", "patch", "dim", "layers", "expand", "states", *leasts):
            least = leasts.get(name, 1)
            if getattr(self, name) < least:
                raise OptionError(f"{name} is {getattr(self, name)}", f"give at least {least}")
        if self.size % self.patch:
            raise OptionError(
                f"size is {self.size}, which is no multiple of the patch {self.patch}",
                "choose one that divides",
            )
        if not 0 <= self.drop_path < 1:
            raise OptionError(f"drop_path is {self.drop_path}", "give a share of at least 0, below 1")
        if self.mlp_ratio <= 0:
            raise OptionError(f"mlp_ratio is {self.mlp_ratio}", "give a number above 0")
        if len(self.mean) != 3 or len(self.std) != 3 or min(self.std) <= 0:
            raise OptionError(
                f"mean is {self.mean} and std {self.std}", "give three numbers each, deviations above 0"
            )
        if len(set(self.labels)) != len(self.labels):
            raise OptionError(f"labels stand twice among {', '.join(self.labels)}", "give each name once")
        if self.mixer not in ("mamba1", "attention"):
            raise OptionError(f"mixer is {self.mixer!r}", "choose mamba1 or attention")
        if self.mixer == "attention" and (self.attention_heads < 1 or self.dim % self.attention_heads):
            raise OptionError(
                f"attention_heads is {self.attention_heads}, which does not divide {self.dim}",
                "choose a divisor",
            )
        wholes = (self.inner, self.states, self.attention_heads, self.hidden)
        for name, whole in zip(KEPT, wholes, strict=True):
            kept = getattr(self, name)
            if kept and (len(kept) != self.layers or not 1 <= min(kept) <= max(kept) <= whole):
                raise OptionError(
                    f"{name} is {list(kept)}",
                    f"give a count from 1 to {whole} for each of {self.layers} layers",
                )

    @property
    def grid(self) -> int:
        """Tokens on each side of a picture."""
        return self.size // self.patch

    @property
    def inner(self) -> int:
        """Channels of the scan in a whole layer."""
        return self.dim * self.expand

    @property
    def hidden(self) -> int:
        """Hidden channels of the MLP in a whole layer."""
        return int(self.dim * self.mlp_ratio)

    def channels_of(self, layer: int) -> int:
        """Channels of a layer's scan."""
        return self.kept_channels[layer] if self.kept_channels else self.inner

    def states_of(self, layer: int) -> int:
        """States of each of a layer's channels."""
        return self.kept_states[layer] if self.kept_states else self.states

    def heads_of(self, layer: int) -> int:
        """Heads of a layer's attention."""
        return self.kept_heads[layer] if self.kept_heads else self.attention_heads

    def neurons_of(self, layer: int) -> int:
        """Hidden channels of a layer's MLP."""
        return self.kept_neurons[layer] if self.kept_neurons else self.hidden

    def to_dict(self) -> dict[str, Any]:
        """Every option as JSON: what ``from_dict`` reads back."""
        return {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> ClassifierConfig:
        """Raises OptionError on an unknown option: none is ever dropped in silence."""
        return build(cls, values, "model")
