"""What of an ARTrackMamba tracker can be cut: stem channels, state-space heads and states, head channels."""

from __future__ import annotations

from dataclasses import replace

from ...errors import OptionError
from ..artrack_mamba import ArtrackMambaConfig
from .groups import Group, Kept, Places, spans

NORMS = ("weight", "bias", "running_mean", "running_var")


def tracker_groups(config: ArtrackMambaConfig) -> list[Group]:
    """Every group of a tracker with a mobile stem and one direction a layer; else raises OptionError."""
    if config.stem != "mobile" or config.directions != "alternate":
        raise OptionError(
            f"the stem is {config.stem!r} and directions are {config.directions!r}",
            "prune trackers with the stem 'mobile' and directions that alternate",
        )
    groups = [_stem_group(index, width) for index, width in enumerate(config.stem_widths)]
    for layer in range(config.layers):
        groups += _mixer_groups(config, layer)
    dim = config.head_dim
    if config.head_widths or dim != config.dim:
        groups += _head_groups(dim, config.head_widths or (2 * dim, 2 * dim))
    return groups


def pruned_config(config: ArtrackMambaConfig, kept: Kept) -> ArtrackMambaConfig:
    """The configuration of what ``cut`` leaves."""
    counts = {g.option: len(kept.get(g.name, range(g.units))) for g in tracker_groups(config)}
    heads, wide = counts["kept_heads", None], counts["head_channels", None]
    dim = config.head_dim
    whole = config.head_widths or (2 * dim, 2 * dim)
    inside = counts.get(("head_widths", 0), whole[0]), counts.get(("head_widths", 1), whole[1])
    return replace(
        config,
        stem_widths=tuple(counts["stem_widths", index] for index in range(len(config.stem_widths))),
        head_widths=inside if ("head_dim", None) in counts else (),  # a head without "enter" stays so
        head_dim=counts.get(("head_dim", None), dim),
        states=counts["states", None],
        kept_heads=heads,
        head_channels=wide,
        norm_epsilon=config.norm_epsilon * config.inner / (heads * wide),  # its mean is over fewer channels
    )


def _conv_norm(name: str, width: int) -> tuple[Places, ...]:
    """Output channels of a convolution and its batch norm."""
    own = spans(width, 0)
    return (Places(f"{name}.0.weight", 0, own), *(Places(f"{name}.1.{norm}", 0, own) for norm in NORMS))


def _stem_group(index: int, width: int) -> Group:
    """Channels between the two ends of one block of the stem."""
    block = f"stem.{index + 2}.body"
    own = spans(width, 0)
    places = _conv_norm("stem.0" if index == 0 else f"{block}.0", width)
    depthwise = 0 if index == 0 else 2
    places += _conv_norm(f"{block}.{depthwise}", width)
    after = depthwise + 1
    if index not in (1, 2):  # the two blocks without a gate
        places += (
            Places(f"{block}.{after}.squeeze.weight", 1, own),
            Places(f"{block}.{after}.excite.weight", 0, own),
            Places(f"{block}.{after}.excite.bias", 0, own),
        )
        after += 1
    places += (Places(f"{block}.{after + 1}.0.weight", 1, own),)
    return Group(f"stem.{index}", "channel", "stem", ("stem_widths", index), places)


def _mixer_groups(config: ArtrackMambaConfig, layer: int) -> list[Group]:
    """Heads, channels of each head, and states of one layer's Mamba-2 mixer."""
    name = f"blocks.{layer}.mixers.0"
    heads, wide, inner, states = config.heads, config.head_channels, config.inner, config.states
    whole = spans(heads, 0, width=wide)
    projected = spans(heads, 0, inner, width=wide)  # the gate, then x
    steps = 2 * inner + 2 * states
    per_head = tuple(
        Places(f"{name}.{tensor}", 0, spans(heads, 0)) for tensor in ("dt_bias", "a_log", "d_skip")
    )
    head_places = (
        Places(
            f"{name}.in_proj.weight",
            0,
            tuple((*rows, steps + head) for head, rows in enumerate(projected)),
        ),
        Places(f"{name}.conv_weight", 0, whole),
        Places(f"{name}.conv_bias", 0, whole),
        *per_head,
        Places(f"{name}.norm.weight", 0, whole),
        Places(f"{name}.out_proj.weight", 1, whole),
    )
    if config.temporal == "carry":
        head_places += (Places("carry_logit", 0, spans(heads, 0), within=layer),)
    channels = []
    for head in range(heads):
        own = spans(wide, head * wide)
        channel_places = (
            Places(f"{name}.in_proj.weight", 0, spans(wide, head * wide, inner + head * wide)),
            Places(f"{name}.conv_weight", 0, own),
            Places(f"{name}.conv_bias", 0, own),
            Places(f"{name}.norm.weight", 0, own),
            Places(f"{name}.out_proj.weight", 1, own),
        )
        option = ("head_channels", None)
        channels.append(
            Group(f"{name}.head.{head}", "channel", "ssm", option, channel_places, (f"{name}.norm.weight",))
        )
    both = spans(states, inner, inner + states)  # B, then C, in what passes the convolution
    state_places = (
        Places(f"{name}.in_proj.weight", 0, spans(states, 2 * inner, 2 * inner + states)),
        Places(f"{name}.conv_weight", 0, both),
        Places(f"{name}.conv_bias", 0, both),
    )
    return [
        Group(
            f"{name}.heads",
            "head",
            "ssm",
            ("kept_heads", None),
            head_places,
            averaged=(f"{name}.norm.weight",),
            multiple=1,
        ),
        *channels,
        Group(f"{name}.states", "state", "ssm", ("states", None), state_places),
    ]


def _head_groups(dim: int, widths: tuple[int, ...]) -> list[Group]:
    """Channels inside the head's two blocks, along them, and behind them."""
    trunk = spans(dim, 0)
    along = _conv_norm("head.enter", dim)
    groups = []
    for index, width in enumerate(widths):
        block, own = f"head.body.{index}.body", spans(width, 0)
        inside = (
            *_conv_norm(f"{block}.0", width),
            *_conv_norm(f"{block}.2", width),
            Places(f"{block}.4.0.weight", 1, own),
        )
        groups.append(Group(f"head.{index}", "channel", "head", ("head_widths", index), inside))
        along += (Places(f"{block}.0.0.weight", 1, trunk), *_conv_norm(f"{block}.4", dim))
    along += (Places("head.towers.0.0.weight", 1, trunk),)
    behind = (*_conv_norm("head.towers.0", dim), Places("head.out.weight", 1, trunk))
    return [
        *groups,
        Group("head.trunk", "channel", "head", ("head_dim", None), along),
        Group("head.towers", "channel", "head", ("head_dim", None), behind),
    ]
