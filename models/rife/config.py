"""The shape of a RIFE network: which of its versions it is, in numbers."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from ...errors import OptionError
from ..training.tables import build

FLOW, MASK = 4, 1  # channels that a block gives, before those it hands on


@dataclass(frozen=True)
class RifeConfig:
    """Options of a RIFE network. Raises OptionError where they do not go together.

    Attributes:
        widths: channels of each block, coarsest first.
        scales: how much smaller the frames of each block are; powers of two, falling to 1.
        features: channels of a frame's features at full size; 0 has none (up to 4.6).
        encoder_width: channels within the encoder.
        encoder_layers: of the encoder, the last one included: 2 (4.7 to 4.9) or 4.
        outputs: channels that a block gives: flow (4), mask (1), and more.
        carried: of these, channels that go to the next block (from 4.21 on).
        mask_added: whether masks of the blocks add up (up to 4.6), or the last one counts.
        depth: residual layers of a block.
    """

    widths: tuple[int, ...] = (192, 128, 96, 64, 32)
    scales: tuple[int, ...] = (16, 8, 4, 2, 1)
    features: int = 4
    encoder_width: int = 16
    encoder_layers: int = 4
    outputs: int = 13
    carried: int = 8
    mask_added: bool = False
    depth: int = 8

    def __post_init__(self) -> None:
        for name in ("widths", "scales"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        powers = all(scale >= 1 and scale & (scale - 1) == 0 for scale in self.scales)
        if not powers or list(self.scales) != sorted(self.scales, reverse=True) or self.scales[-1:] != (1,):
            raise OptionError(f"scales is {self.scales}", "give powers of two that fall to 1")
        if len(self.widths) != len(self.scales) or any(width < 2 or width % 2 for width in self.widths):
            raise OptionError(f"widths is {self.widths}", "give an even number for each of the scales")
        if self.features < 0 or (self.features and (self.encoder_layers < 2 or self.encoder_width < 1)):
            raise OptionError(
                f"features is {self.features} of {self.encoder_layers} layers, {self.encoder_width} wide",
                "give at least two layers, or no features",
            )
        if self.carried < 0 or self.outputs < FLOW + MASK + self.carried or self.depth < 0:
            raise OptionError(
                f"outputs is {self.outputs}, carried {self.carried} and depth {self.depth}",
                f"a block gives {FLOW + MASK} channels and those it carries",
            )

    @property
    def multiple(self) -> int:
        """What the sides of a frame must be multiples of: the coarsest block halves its frames twice."""
        return 4 * self.scales[0]

    def inputs(self, block: int) -> int:
        """Channels that a block sees: both frames and their features, the time, and what was found so far."""
        seen = 2 * 3 + 2 * self.features + 1
        return seen if block == 0 else seen + MASK + self.carried + FLOW

    def to_dict(self) -> dict[str, Any]:
        """Every option as JSON."""
        return {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> RifeConfig:
        """Raises OptionError on an unknown option."""
        return build(cls, values, "model")
