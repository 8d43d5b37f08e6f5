"""What of a ViL-Tracker can be cut: heads of the matrix memory, and hidden channels of its experts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..vil_tracker import VilTrackerConfig
from ..vil_tracker.config import BLOCK_SIZE
from .groups import Group, Kept, Places, spans


def vil_groups(config: VilTrackerConfig) -> list[Group]:
    """Every group. Heads may only be left in numbers whose channels are a multiple of 16."""
    groups = [_heads(config, layer) for layer in range(config.layers)]
    for layer in range(config.expert_layers):
        groups += _experts(config, layer)
    return groups


def pruned_vil(config: VilTrackerConfig, kept: Kept) -> VilTrackerConfig:
    """The configuration of what ``cut`` leaves. Raises OptionError for a number of heads that cannot be."""
    counts: dict[str, Any] = {g.option[0]: len(kept.get(g.name, range(g.units))) for g in vil_groups(config)}
    return replace(config, **counts)


def _heads(config: VilTrackerConfig, layer: int) -> Group:
    """A head: its memory, what it is fed by, and what every other head's gates know of it."""
    name, heads, wide, inner = f"blocks.{layer}.mixer", config.heads, config.head_width, config.inner
    own, whole = spans(heads, 0), spans(heads, 0, width=wide)
    blocks = spans(heads, 0, width=wide // BLOCK_SIZE)
    seen = spans(heads, 0, inner, 2 * inner, width=wide)  # of q, k and v
    places = [Places(f"{name}.proj_up.weight", 0, spans(heads, 0, inner, width=wide))]
    places += [Places(f"{name}.{part}_proj.weight", 0, blocks) for part in "qkv"]
    places += [
        Places(f"{name}.{part}", 0, whole) for part in ("conv_weight", "conv_bias", "out_norm", "skip")
    ]
    for gate in ("input_gate", "forget_gate"):
        places += [Places(f"{name}.{gate}.{part}", 0, own) for part in ("weight", "bias")]
        places.append(Places(f"{name}.{gate}.weight", 1, seen))
    places.append(Places(f"{name}.proj_down.weight", 1, whole))
    multiple = next(n for n in (1, 2, 4) if n * wide % BLOCK_SIZE**2 == 0)
    return Group(f"{name}.heads", "head", "ssm", ("kept_heads", None), tuple(places), multiple=multiple)


def _experts(config: VilTrackerConfig, layer: int) -> list[Group]:
    """Hidden channels of the shared expert, and of each other one, which lie side by side."""
    name, wide = f"mixtures.{layer}", config.expert_hidden
    own = spans(config.shared_hidden, 0)
    shared = (Places(f"{name}.shared.0.weight", 0, own), Places(f"{name}.shared.2.weight", 1, own))
    groups = [Group(f"{name}.shared", "neuron", "mlp", ("shared_hidden", None), shared)]
    for expert in range(config.experts):
        rows = spans(wide, expert * wide)
        places = (Places(f"{name}.enter.weight", 0, rows), Places(f"{name}.leave.weight", 1, rows))
        groups.append(Group(f"{name}.experts.{expert}", "neuron", "mlp", ("expert_hidden", None), places))
    return groups
