"""What of a Mamba classifier can be cut: the scan's channels and states, the MLP's neurons."""

from __future__ import annotations

from dataclasses import replace

from ..classification import ClassifierConfig
from .groups import Group, Kept, Places, spans


def classifier_groups(config: ClassifierConfig) -> list[Group]:
    """Every group of a classifier: three a layer, each with a count of its own."""
    return [
        group
        for layer in range(config.layers)
        for group in (_channels(config, layer), _states(config, layer), _neurons(config, layer))
    ]


def pruned_classifier(config: ClassifierConfig, kept: Kept) -> ClassifierConfig:
    """The configuration of what ``cut`` leaves."""
    counts = {g.option: len(kept.get(g.name, range(g.units))) for g in classifier_groups(config)}
    layers = range(config.layers)
    return replace(
        config,
        kept_channels=tuple(counts["kept_channels", layer] for layer in layers),
        kept_states=tuple(counts["kept_states", layer] for layer in layers),
        kept_neurons=tuple(counts["kept_neurons", layer] for layer in layers),
    )


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
