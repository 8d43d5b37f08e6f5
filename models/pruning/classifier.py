"""What of a Mamba classifier can be cut: the scan's channels and states (or attention's heads), neurons."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..classification import ClassifierConfig
from .groups import Group, Kept, Places, spans


def classifier_groups(config: ClassifierConfig) -> list[Group]:
    """Every group of a classifier: two or three a layer, each with a count of its own."""
    attends = config.mixer == "attention"
    mixers = (_heads,) if attends else (_channels, _states)
    return [made(config, layer) for layer in range(config.layers) for made in (*mixers, _neurons)]


def pruned_classifier(config: ClassifierConfig, kept: Kept) -> ClassifierConfig:
    """The configuration of what ``cut`` leaves."""
    groups = classifier_groups(config)
    counts = {group.option: len(kept.get(group.name, range(group.units))) for group in groups}
    names = dict.fromkeys(group.option[0] for group in groups)
    left: dict[str, Any] = {
        name: tuple(counts[name, layer] for layer in range(config.layers)) for name in names
    }
    return replace(config, **left)


def _heads(config: ClassifierConfig, layer: int) -> Group:
    """A head of the attention: its queries, keys and values, and what reads it."""
    name, heads, wide = f"blocks.{layer}.mixer", config.heads_of(layer), config.dim // config.attention_heads
    inner = heads * wide
    rows = spans(heads, 0, inner, 2 * inner, width=wide)
    places = (
        Places(f"{name}.qkv.weight", 0, rows),
        Places(f"{name}.qkv.bias", 0, rows),
        Places(f"{name}.out_proj.weight", 1, spans(heads, 0, width=wide)),
    )
    return Group(f"{name}.heads", "head", "attention", ("kept_heads", layer), places, multiple=1)


def _channels(config: ClassifierConfig, layer: int) -> Group:
    """Channel c of the scan: it gives x and a gate, feeds Δ, B and C, and has a step size of its own."""
    name, inner = f"blocks.{layer}.mixer", config.channels_of(layer)
    own = spans(inner, 0)
    steps = Places(f"{name}.{'dt_proj' if config.dt_rank else 'x_proj'}.weight", 0, own)
    vectors = tuple(
        Places(f"{name}.{tensor}", 0, own) for tensor in ("conv_bias", "dt_bias", "a_log", "d_skip")
    )
    places = (
        Places(f"{name}.in_proj.weight", 0, spans(inner, 0, inner)),
        Places(f"{name}.conv_weight", 0, own),
        Places(f"{name}.x_proj.weight", 1, own),
        steps,
        *vectors,
        Places(f"{name}.out_proj.weight", 1, own),
    )
    return Group(f"{name}.channels", "channel", "ssm", ("kept_channels", layer), places)


def _states(config: ClassifierConfig, layer: int) -> Group:
    """State n of every channel: its decay rates, and what B and C write to and read from it."""
    name, states = f"blocks.{layer}.mixer", config.states_of(layer)
    first = config.dt_rank or config.channels_of(layer)  # rows of x_proj before B
    places = (
        Places(f"{name}.x_proj.weight", 0, spans(states, first, first + states)),
        Places(f"{name}.a_log", 1, spans(states, 0)),
    )
    return Group(f"{name}.states", "state", "ssm", ("kept_states", layer), places)


def _neurons(config: ClassifierConfig, layer: int) -> Group:
    """Hidden channel of the MLP."""
    name, own = f"blocks.{layer}.mlp", spans(config.neurons_of(layer), 0)
    places = (
        Places(f"{name}.0.weight", 0, own),
        Places(f"{name}.0.bias", 0, own),
        Places(f"{name}.2.weight", 1, own),
    )
    return Group(f"{name}.neurons", "neuron", "mlp", ("kept_neurons", layer), places)
