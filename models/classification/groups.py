"""Which parameters decay, and at which share of the rate each layer learns."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from ...errors import OptionError
from .model import MambaClassifier

SLOWEST = 0.05
"""The least share of the rate that a layer may have: below, it would stay as it was drawn."""


@dataclass(frozen=True)
class GroupConfig:
    """How AdamW treats the parameters.

    Attributes:
        layer_decay: what each layer's share of the rate is, of the next one's. From scratch, early layers
            have everything to learn: 0.65, made for fine-tuning, would leave the first of 24 layers 3e-5
            of the rate.
        spare: leave biases, norms, decay rates, skips and positions without weight decay.
    """

    layer_decay: float = 0.98
    spare: bool = True

    def __post_init__(self) -> None:
        if not 0 < self.layer_decay <= 1:
            raise OptionError(f"layer_decay is {self.layer_decay}", "give a share above 0, up to 1")


def parameter_groups(
    model: MambaClassifier, weight_decay: float, config: GroupConfig
) -> list[dict[str, object]]:
    """AdamW's groups: every parameter in exactly one, with the ``scale`` of its rate.

    Raises OptionError where the first layers would hardly learn at all.
    """
    layers = model.config.layers
    slowest = config.layer_decay ** (layers + 1)
    if slowest < SLOWEST:
        raise OptionError(
            f"with layer_decay {config.layer_decay}, tokens are learned at {slowest:.1g} of the rate",
            f"give one of at least {SLOWEST ** (1 / (layers + 1)):.3f}",
        )
    groups: dict[tuple[int, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        decays = not config.spare or not is_spared(name, parameter)
        groups.setdefault((depth_of(name, layers), decays), []).append(parameter)
    return [
        {
            "params": parameters,
            "weight_decay": weight_decay if decays else 0.0,
            "scale": config.layer_decay ** (layers + 1 - depth),
        }
        for (depth, decays), parameters in sorted(groups.items(), key=lambda entry: entry[0])
    ]


def depth_of(name: str, layers: int) -> int:
    """0 for what makes tokens, i + 1 for block i, ``layers`` + 1 for what comes after the blocks."""
    if name.startswith("blocks."):
        return int(name.split(".")[1]) + 1
    return 0 if name.startswith(("patch_embed.", "pos_embed")) else layers + 1


def is_spared(name: str, parameter: nn.Parameter) -> bool:
    """Vectors, and the two tables that no decay makes sense for: positions and decay rates."""
    return parameter.dim() < 2 or name == "pos_embed" or name.endswith("a_log")
