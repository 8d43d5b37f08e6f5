"""ARTrackMamba, stateful: the template becomes a state once; every frame brings only its own tokens.

``init(template) -> state`` and ``step(search, carry, state) -> maps, next state``; with ``look_dim`` also
``look(crop) -> vector``.

State tensors (named, one row a session):
    template.features       (C, L_z)   unit-length template features, the key of the pixel-wise correlation
    layers.<i>.<d>.start    ssm state after the template (State_0); pinned, never overwritten
    layers.<i>.<d>.conv     conv state after the template; pinned
    layers.<i>.<d>.ssm      ssm state after the last frame; only where ``temporal`` is "carry"

Temporal modes. (i) restart: every frame starts from State_0, which equals running the stateless model on
[template, search] exactly. (ii) carry: a frame starts from ``State_0 + carry · α · (State_{t-1} - State_0)``
with a learned α in (0, 1) a head; ``carry`` is the engine's confidence in the last frame (0 is a reset and
equals mode (i)). The state is linear in its start, so the template never fades.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ...bundles import JSON, Dim, FunctionSpec, ModelSpec, TensorSpec
from ...plugins import Operators
from . import look
from .config import ArtrackMambaConfig
from .head import CentreHead
from .mixer import MambaBlock
from .stem import build_stem, conv_norm

State = dict[str, Tensor]


class ArtrackMamba(nn.Module):
    """One tracker. Inputs are normalised RGB crops (B, 3, S, S); see ``spec`` for every name and shape."""

    def __init__(self, config: ArtrackMambaConfig, operators: Operators) -> None:
        super().__init__()
        self.config = config
        keys = config.template_grid**2
        self.stem = build_stem(config)
        self.embed = nn.Sequential(conv_norm(config.stem_dim + keys, config.dim), nn.ReLU(inplace=True))
        self.correlation_norm = nn.BatchNorm2d(keys)
        self.template_position = nn.Parameter(0.02 * torch.randn(1, config.template_grid**2, config.dim))
        self.search_position = nn.Parameter(0.02 * torch.randn(1, config.search_grid**2, config.dim))
        self.blocks = nn.ModuleList(MambaBlock(config, operators, index) for index in range(config.layers))
        if config.temporal == "carry":
            self.carry_logit = nn.Parameter(torch.zeros(config.layers, config.heads))
        self.head = CentreHead(config)
        if config.look_dim:
            self.look = look.Look(config.look_dim)

    def tokens(self, features: Tensor, keys: Tensor, position: Tensor) -> Tensor:
        """features (B, C, G, G), unit template keys (B, C, L_z) -> tokens (B, G², C) with their match."""
        batch, _, grid, _ = features.shape
        flat = functional.normalize(features.flatten(2), dim=1)  # (B, C, G²)
        match = (keys.transpose(1, 2) @ flat).reshape(batch, -1, grid, grid)  # (B, L_z, G, G), cosine
        joined = torch.cat([features, self.correlation_norm(match)], dim=1)
        embedded: Tensor = self.embed(joined)
        return embedded.flatten(2).transpose(1, 2) + position

    def init(self, template: Tensor) -> State:
        """template (B, 3, S_z, S_z) -> state."""
        features = self.stem(template)
        keys = functional.normalize(features.flatten(2), dim=1)
        tokens = self.tokens(features, keys, self.template_position)
        state = {"template.features": keys}
        for index, block in enumerate(self.blocks):
            tokens, finals = block(tokens, None)
            for direction, (ssm, conv) in enumerate(finals):
                name = f"layers.{index}.{direction}"
                state[f"{name}.start"], state[f"{name}.conv"] = ssm, conv
                if self.config.temporal == "carry":
                    state[f"{name}.ssm"] = ssm
        return state

    def step(self, search: Tensor, carry: Tensor, state: State) -> tuple[dict[str, Tensor], State]:
        """search (B, 3, S_x, S_x), carry (B,) in [0, 1], state -> maps of ``CentreHead``, written state."""
        return self.step_features(self.stem(search), carry, state)

    def step_features(self, features: Tensor, carry: Tensor, state: State) -> tuple[dict[str, Tensor], State]:
        """``step`` after the stem; training uses it to look at the features too."""
        trunk, written = self.step_trunk(features, carry, state)
        return self.head.maps(trunk), written

    def step_trunk(self, features: Tensor, carry: Tensor, state: State) -> tuple[Tensor, State]:
        """Stem features (B, stem_dim, G, G) -> the last feature map (B, head_dim, G, G), written state."""
        batch, _, grid, _ = features.shape
        tokens = self.tokens(features, state["template.features"], self.search_position)
        written: State = {}
        for index, block in enumerate(self.blocks):
            assert isinstance(block, MambaBlock)
            starts = []
            for direction in range(len(block.mixers)):
                name = f"layers.{index}.{direction}"
                start = state[f"{name}.start"]
                if self.config.temporal == "carry":
                    share = torch.sigmoid(self.carry_logit[index]) * carry[:, None]  # (B, H)
                    start = start + share[..., None, None] * (state[f"{name}.ssm"] - start)
                starts.append((start, state[f"{name}.conv"]))
            tokens, finals = block(tokens, starts)
            if self.config.temporal == "carry":
                for direction, (ssm, _) in enumerate(finals):
                    written[f"layers.{index}.{direction}.ssm"] = ssm
        return self.head.trunk(tokens.transpose(1, 2).reshape(batch, -1, grid, grid)), written

    def stateless(self, template: Tensor, search: Tensor) -> dict[str, Tensor]:
        """The plain form: template and search tokens concatenated through every block at once.

        It equals ``step`` with ``carry`` 0, and costs the template's tokens again on every frame.
        """
        z, x = self.stem(template), self.stem(search)
        keys = functional.normalize(z.flatten(2), dim=1)
        z_tokens = self.tokens(z, keys, self.template_position)
        x_tokens = self.tokens(x, keys, self.search_position)
        split = z_tokens.shape[1]
        for block in self.blocks:
            assert isinstance(block, MambaBlock)
            z_tokens, x_tokens = concatenated_block(block, z_tokens, x_tokens)
        assert z_tokens.shape[1] == split
        batch, _, grid, _ = x.shape
        return self.head(x_tokens.transpose(1, 2).reshape(batch, -1, grid, grid))  # type: ignore[no-any-return]

    @property
    def operator_states(self) -> frozenset[str]:
        """The states that ``step`` hands to its operators untouched; kernels may read them where they lie."""
        kinds = ("conv",) if self.config.temporal == "carry" else ("start", "conv")
        both = 2 if self.config.directions == "both" else 1
        layers = [(index, direction) for index in range(self.config.layers) for direction in range(both)]
        return frozenset(f"layers.{i}.{d}.{kind}" for i, d in layers for kind in kinds)

    def functions(self) -> dict[str, Any]:
        """The named functions of the spec, as callables over positional tensors and a state."""
        functions: dict[str, Any] = {"init": self._init_function, "step": self._step_function}
        return functions | ({"look": self._look_function} if self.config.look_dim else {})

    def _init_function(self, inputs: dict[str, Tensor], state: State) -> tuple[dict[str, Tensor], State]:
        return {}, self.init(inputs["template"])

    def _step_function(self, inputs: dict[str, Tensor], state: State) -> tuple[dict[str, Tensor], State]:
        return self.step(inputs["search"], inputs["carry"], state)

    def _look_function(self, inputs: dict[str, Tensor], state: State) -> tuple[dict[str, Tensor], State]:
        return {"look": self.look(look.read(self.stem, inputs["crop"]))}, {}

    def spec(self, name: str) -> ModelSpec:
        """Everything that a runtime must know of this model."""
        c = self.config
        grid = c.search_grid
        state = [TensorSpec("template.features", "float32", ("batch", c.stem_dim, c.template_grid**2))]
        carried = []
        for index in range(c.layers):
            for direction in range(2 if c.directions == "both" else 1):
                base = f"layers.{index}.{direction}"
                ssm: tuple[Dim, ...] = ("batch", c.heads, c.states, c.head_channels)
                state.append(TensorSpec(f"{base}.start", "float32", ssm))
                state.append(
                    TensorSpec(f"{base}.conv", "float32", ("batch", c.conv_channels, c.conv_taps - 1))
                )
                if c.temporal == "carry":
                    state.append(TensorSpec(f"{base}.ssm", "float32", ssm))
                    carried.append(f"{base}.ssm")
        names = tuple(tensor.name for tensor in state)
        maps = (("score", 1), ("offset", 2), ("size", 2), ("log_variance", 4))
        init = FunctionSpec(
            inputs=(TensorSpec("template", "float32", ("batch", 3, c.template_size, c.template_size)),),
            outputs=(),
            reads_state=(),
            writes_state=names,
        )
        step = FunctionSpec(
            inputs=(
                TensorSpec("search", "float32", ("batch", 3, c.search_size, c.search_size)),
                TensorSpec("carry", "float32", ("batch",)),
            ),
            outputs=tuple(TensorSpec(key, "float32", ("batch", depth, grid, grid)) for key, depth in maps),
            reads_state=names,
            writes_state=tuple(carried),
        )
        preprocess: dict[str, JSON] = {
            "template_size": c.template_size,
            "template_factor": c.template_factor,
            "search_size": c.search_size,
            "search_factor": c.search_factor,
            "normalisation": "imagenet",
        }
        if c.look_dim:
            preprocess["look_factor"] = c.look_factor
        return ModelSpec(
            name=name,
            task="tracking",
            architecture="artrack_mamba",
            config=c.to_dict(),
            preprocess=preprocess,
            functions={"init": init, "step": step}
            | ({"look": look.function(c.look_dim)} if c.look_dim else {}),
            state=tuple(state),
        )


def concatenated_block(block: MambaBlock, z: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
    """One block over [z, x] as one sequence, template first in both directions, without any cached state."""
    split = z.shape[1]
    normed = (block.norm(z), block.norm(x))
    for mixer in block.mixers:
        forward = not mixer.reverse
        tokens = torch.cat([part if forward else part.flip(1) for part in normed], dim=1)
        if not forward:
            tokens = tokens.flip(1)  # the mixer flips the whole sequence back
        mixed, _, _ = mixer(tokens, None, None)
        if not forward:
            mixed = mixed.flip(1)
        mixed_z, mixed_x = mixed[:, :split], mixed[:, split:]
        if not forward:
            mixed_z, mixed_x = mixed_z.flip(1), mixed_x.flip(1)
        z, x = z + mixed_z, x + mixed_x
    return z, x
