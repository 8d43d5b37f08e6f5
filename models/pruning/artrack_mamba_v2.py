"""What of an ARTrackMamba with a trajectory head can be cut: channels, heads, states, neurons."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ..artrack_mamba_v2 import ArtrackMambaV2Config
from .groups import Group, Kept, Places, Rows, spans

VECTORS = ("dt_bias", "a_log", "d_skip")


def trajectory_groups(config: ArtrackMambaV2Config) -> list[Group]:
    """Every group; with rotary positions, states are left whole: they are turned in pairs."""
    groups = []
    for layer in range(config.layers):
        if layer in config.attending:
            groups.append(_attention(config, layer))
        elif config.mixer == "mamba1":
            groups += _mamba1(config, layer)
        else:
            groups += _mamba2(config, layer)
    if config.dynamic:
        groups += [_redraw(config, layer) for layer in range(config.redraw_layers)]
    return groups


def pruned_trajectory(config: ArtrackMambaV2Config, kept: Kept) -> ArtrackMambaV2Config:
    """The configuration of what ``cut`` leaves."""
    counts: dict[str, Any] = {
        g.option[0]: len(kept.get(g.name, range(g.units))) for g in trajectory_groups(config)
    }
    heads = counts.get("kept_heads", config.heads)
    return replace(config, **counts, norm_epsilon=config.norm_epsilon * config.heads / heads)


def _ways(config: ArtrackMambaV2Config) -> int:
    return 2 if config.directions == "both" else 1


def _carry(config: ArtrackMambaV2Config, layer: int, own: Rows) -> tuple[Places, ...]:
    return (Places(f"blocks.{layer}.carry_logit", 1, own),) if config.temporal == "carry" else ()


def _mamba1(config: ArtrackMambaV2Config, layer: int) -> list[Group]:
    """Channels that both directions share, and states of each."""
    name, rank, states = f"blocks.{layer}.mixer", config.step_rank, config.states
    own = spans(config.inner, 0)
    places = [Places(f"{name}.in_proj.weight", 0, spans(config.inner, 0, config.inner))]
    groups = []
    for way in (f"{name}.ways.{index}" for index in range(_ways(config))):
        rows = ("conv_weight", "conv_bias", "dt_proj.weight", "dt_proj.bias", "a_log", "d_skip")
        places += [Places(f"{way}.{tensor}", 0, own) for tensor in rows]
        places.append(Places(f"{way}.x_proj.weight", 1, own))
        if config.positions == "learned":
            both = Places(f"{way}.x_proj.weight", 0, spans(states, rank, rank + states))
            decays = Places(f"{way}.a_log", 1, spans(states, 0))
            groups.append(Group(f"{way}.states", "state", "ssm", ("states", None), (both, decays)))
    places += [Places(f"{name}.out_proj.weight", 1, own), *_carry(config, layer, own)]
    channels = Group(f"{name}.channels", "channel", "ssm", ("kept_channels", None), tuple(places))
    return [channels, *groups]


def _mamba2(config: ArtrackMambaV2Config, layer: int) -> list[Group]:
    """Heads and states, which both directions share as one projection feeds them."""
    name, heads, inner, states = f"blocks.{layer}.mixer", config.heads, config.inner, config.states
    own, whole = spans(heads, 0), spans(heads, 0, width=config.head_channels)
    projected = spans(heads, 0, inner, width=config.head_channels)  # the gate, then x
    steps = 2 * inner + 2 * states
    rows = tuple((*taken, steps + head) for head, taken in enumerate(projected))
    head_places = [Places(f"{name}.in_proj.weight", 0, rows)]
    state_places = [Places(f"{name}.in_proj.weight", 0, spans(states, 2 * inner, 2 * inner + states))]
    both = spans(states, inner, inner + states)  # B, then C, in what passes the convolution
    ways = [f"{name}.ways.{index}" for index in range(_ways(config))]
    for way in ways:
        for tensor in ("conv_weight", "conv_bias"):
            head_places.append(Places(f"{way}.{tensor}", 0, whole))
            state_places.append(Places(f"{way}.{tensor}", 0, both))
        head_places += [Places(f"{way}.{tensor}", 0, own) for tensor in VECTORS]
        head_places.append(Places(f"{way}.norm.weight", 0, whole))
    head_places += [Places(f"{name}.out_proj.weight", 1, whole), *_carry(config, layer, own)]
    norms = tuple(f"{way}.norm.weight" for way in ways)
    option = ("kept_heads", None)
    groups = [Group(f"{name}.heads", "head", "ssm", option, tuple(head_places), averaged=norms, multiple=1)]
    if config.positions == "learned":
        groups.append(Group(f"{name}.states", "state", "ssm", ("states", None), tuple(state_places)))
    return groups


def _attention(config: ArtrackMambaV2Config, layer: int) -> Group:
    """Heads: their queries, keys and values, and what the projection out reads of them."""
    name, heads, wide = f"blocks.{layer}.mixer", config.attending_heads, config.attention_width
    inner = config.attention_inner
    rows = spans(heads, 0, inner, 2 * inner, width=wide)
    places = (
        Places(f"{name}.qkv.weight", 0, rows),
        Places(f"{name}.qkv.bias", 0, rows),
        Places(f"{name}.out_proj.weight", 1, spans(heads, 0, width=wide)),
    )
    return Group(f"{name}.heads", "head", "attention", ("kept_attention_heads", None), places, multiple=1)


def _redraw(config: ArtrackMambaV2Config, layer: int) -> Group:
    """Hidden channels of a redrawing layer's MLP."""
    name, own = f"redraw.layers.{layer}.wide", spans(config.redraw_neurons or 4 * config.redraw_dim, 0)
    places = (
        Places(f"{name}.0.weight", 0, own),
        Places(f"{name}.0.bias", 0, own),
        Places(f"{name}.2.weight", 1, own),
    )
    return Group(f"{name}.neurons", "neuron", "mlp", ("redraw_neurons", None), places)
