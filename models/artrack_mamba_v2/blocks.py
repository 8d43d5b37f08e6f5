"""Layers of the trunk: a norm, a mixer or attention, and the residual stream; with their states by name.

State tensors of layer ``i``: ``layers.<i>.<d>.start`` and ``.conv`` a direction ``d`` (``.ssm`` too where
frames carry their state on), or ``layers.<i>.key`` and ``.value`` of a layer that attends.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ...bundles import Dim, TensorSpec
from ...plugins import Operators
from ..artrack_mamba.mixer import RmsNorm
from .attention import Attention
from .config import ArtrackMambaV2Config
from .mixers import Mixer
from .order import Part
from .rotary import Pair

State = dict[str, Tensor]


class Block(nn.Module):
    """One layer."""

    def __init__(self, config: ArtrackMambaV2Config, operators: Operators, index: int) -> None:
        super().__init__()
        self.config, self.index = config, index
        self.norm = RmsNorm(config.dim)
        self.mixer: Mixer | Attention = (
            Attention(config) if index in config.attending else Mixer(config, operators, index)
        )
        if config.temporal == "carry" and isinstance(self.mixer, Mixer):
            heads = config.heads if config.mixer == "mamba2" else config.inner
            self.carry_logit = nn.Parameter(torch.zeros(len(self.mixer.reverses), heads))

    def name(self, place: int) -> str:
        """The prefix of a direction's state."""
        return f"layers.{self.index}.{place}"

    def templates(self, tokens: Tensor, parts: Sequence[Part], angles: Pair | None) -> tuple[Tensor, State]:
        """Template tokens through the layer, and the state that they leave."""
        normed = self.norm(tokens)
        if isinstance(self.mixer, Attention):
            mixed, (key, value) = self.mixer.templates(normed, angles)
            return tokens + mixed, {f"layers.{self.index}.key": key, f"layers.{self.index}.value": value}
        mixed, finals = self.mixer(normed, None, parts, angles)
        state = {}
        for place, (ssm, conv) in enumerate(finals):
            state[f"{self.name(place)}.start"], state[f"{self.name(place)}.conv"] = ssm, conv
            if self.config.temporal == "carry":
                state[f"{self.name(place)}.ssm"] = ssm
        return tokens + mixed, state

    def frame(
        self, tokens: Tensor, carry: Tensor, state: State, parts: Sequence[Part], angles: Pair | None
    ) -> tuple[Tensor, State]:
        """A frame's tokens through the layer, going on from the templates' state; what it writes."""
        normed = self.norm(tokens)
        if isinstance(self.mixer, Attention):
            kept = state[f"layers.{self.index}.key"], state[f"layers.{self.index}.value"]
            return tokens + self.mixer.frame(normed, kept, angles), {}
        starts = [
            (self._start(place, carry, state), state[f"{self.name(place)}.conv"])
            for place in range(len(self.mixer.reverses))
        ]
        mixed, finals = self.mixer(normed, starts, parts, angles)
        written: State = {}
        if self.config.temporal == "carry":
            written = {f"{self.name(place)}.ssm": ssm for place, (ssm, _) in enumerate(finals)}
        return tokens + mixed, written

    def _start(self, place: int, carry: Tensor, state: State) -> Tensor:
        """State_0, or where frames carry on, ``State_0 + carry · α · (State_{t-1} - State_0)``."""
        start = state[f"{self.name(place)}.start"]
        if self.config.temporal == "restart":
            return start
        share = torch.sigmoid(self.carry_logit[place]) * carry[:, None]  # (B, heads or channels)
        share = share.reshape(share.shape[0], share.shape[1], *[1] * (start.dim() - 2))
        return start + share * (state[f"{self.name(place)}.ssm"] - start)

    def whole(self, tokens: Tensor, before: int, parts: Sequence[Part], angles: Pair | None) -> Tensor:
        """Templates and frame as one sequence, no state; ``before`` of the tokens are templates'."""
        normed = self.norm(tokens)
        if isinstance(self.mixer, Attention):
            return tokens + self.mixer.whole(normed, before, angles)
        mixed: Tensor = self.mixer(normed, None, parts, angles)[0]
        return tokens + mixed

    def state_specs(self) -> tuple[list[TensorSpec], list[TensorSpec]]:
        """What the layer's templates leave and frames only read; what frames carry on."""
        c = self.config
        if isinstance(self.mixer, Attention):
            kept: tuple[Dim, ...] = ("batch", c.templates * c.template_grid**2, c.attention_inner)
            return [
                TensorSpec(f"layers.{self.index}.{name}", "float32", kept) for name in ("key", "value")
            ], []
        first = c.mixer == "mamba1"
        ssm: tuple[Dim, ...] = (
            ("batch", c.inner, c.states) if first else ("batch", c.heads, c.states, c.head_channels)
        )
        conv: tuple[Dim, ...] = ("batch", c.inner + (0 if first else 2 * c.states), c.conv_taps - 1)
        pinned, carried = [], []
        for place in range(len(self.mixer.reverses)):
            pinned.append(TensorSpec(f"{self.name(place)}.start", "float32", ssm))
            pinned.append(TensorSpec(f"{self.name(place)}.conv", "float32", conv))
            if c.temporal == "carry":
                carried.append(TensorSpec(f"{self.name(place)}.ssm", "float32", ssm))
        return pinned, carried
