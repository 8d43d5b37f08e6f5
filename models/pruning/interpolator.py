"""What of an interpolator can be cut: the states of its scans, and neurons of the LGS blocks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..interpolation import InterpolatorConfig
from .groups import Group, Kept, Places, spans


def interpolator_groups(config: InterpolatorConfig) -> list[Group]:
    """Every group; none of states where the mixer has the attention's shape."""
    groups = []
    scans = config.backbone_mode != "gated_attn_only" and config.mixer_shape == "own"
    for index in range(sum(config.blocks)):
        coarse = config.blocks[1]
        name = f"lgs32.blocks.{index}" if index < coarse else f"lgs16.blocks.{index - coarse}"
        own = spans(config.neurons_of(index), 0)
        places = (
            Places(f"{name}.mlp.0.weight", 0, own),
            Places(f"{name}.mlp.0.bias", 0, own),
            Places(f"{name}.mlp.2.weight", 1, own),
        )
        groups.append(Group(f"{name}.mlp.neurons", "neuron", "mlp", ("kept_neurons", index), places))
        if scans:
            groups.append(_states(config, f"{name}.mamba.mixer", config.dims[index]))
    return groups


def pruned_interpolator(config: InterpolatorConfig, kept: Kept) -> InterpolatorConfig:
    """The configuration of what ``cut`` leaves."""
    groups = interpolator_groups(config)
    counts = {group.option: len(kept.get(group.name, range(group.units))) for group in groups}
    left: dict[str, Any] = {
        "kept_neurons": tuple(counts["kept_neurons", index] for index in range(sum(config.blocks)))
    }
    if ("states", None) in counts:
        left["states"] = counts["states", None]
    return replace(config, **left)


def _states(config: InterpolatorConfig, name: str, dim: int) -> Group:
    """State n of every channel: what B and C write to it and read from it, and in Mamba-1 its decays."""
    states, inner = config.states, config.mixer_of(dim).inner
    if config.mixer == "mamba1":
        rank = -(-dim // 16)
        places: tuple[Places, ...] = (
            Places(f"{name}.x_proj.weight", 0, spans(states, rank, rank + states)),
            Places(f"{name}.a_log", 1, spans(states, 0)),
        )
    else:
        both = spans(states, inner, inner + states)  # B, then C, in what passes the convolution
        places = (
            Places(f"{name}.in_proj.weight", 0, spans(states, 2 * inner, 2 * inner + states)),
            Places(f"{name}.conv_weight", 0, both),
            Places(f"{name}.conv_bias", 0, both),
        )
    return Group(f"{name}.states", "state", "ssm", ("states", None), places)
