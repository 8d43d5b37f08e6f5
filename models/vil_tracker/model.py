"""ViL-Tracker: patches, mLSTM blocks over template-first tokens, temporal modulation, centre head.

Glossary
    z, x           template and search tokens, (B, L_z, dim) and (B, L_x, dim), row by row
    strength       (B,) in [0, 1], how much the temporal features modulate the tokens; ``carry`` in use
    look           (B, dim), the mean of the last tokens where the target is

State (names as in the spec; every one but ``temporal.memory`` stays as ``init`` wrote it)
    layers.<i>.memory, .norm, .peak   the matrix memory after the template, see plugins.mlstm_scan
    layers.<i>.conv                   of its causal convolution
    temporal.start                    the template's look
    temporal.memory                   what the target has looked like since

Every frame starts from the state after the template, so that a step equals the model on [template, search]
exactly where ``carry`` is 0. Where it is not, layers after the first see tokens that FiLM has modulated by
``temporal.start + carry · (temporal.memory - temporal.start)``: history reaches a frame by that way alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ...bundles import JSON, Dim, FunctionSpec, ModelSpec, TensorSpec
from ...plugins import Operators
from .config import ARCHITECTURE, VilTrackerConfig
from .experts import ExpertMixture
from .film import TemporalFilm, modulate, pooled
from .head import CentreHead, UncertaintyHead
from .mlstm import BlockState, MlstmBlock

State = dict[str, Tensor]


@dataclass
class Seen:
    """What a step makes of a search crop: maps, state to write, features (B, dim, G, G), look (B, dim)."""

    maps: dict[str, Tensor]
    written: State
    features: Tensor
    look: Tensor


class VilTracker(nn.Module):
    """One tracker. Inputs are normalised RGB crops (B, 3, S, S); see ``spec`` for every name and shape."""

    def __init__(self, config: VilTrackerConfig, operators: Operators) -> None:
        super().__init__()
        self.config = config
        dim = config.dim
        self.patch = nn.Conv2d(3, dim, config.stride, config.stride)
        self.template_position = nn.Parameter(0.02 * torch.randn(1, config.template_grid**2, dim))
        self.search_position = nn.Parameter(0.02 * torch.randn(1, config.search_grid**2, dim))
        self.kinds = nn.Parameter(torch.zeros(2, dim))  # what tells template tokens from search tokens
        self.blocks = nn.ModuleList(MlstmBlock(config, operators, index) for index in range(config.layers))
        if config.block == "gelu":
            self.layer_scale = nn.Parameter(torch.full((config.layers, dim), config.layer_scale))
        self.mixtures = nn.ModuleList(ExpertMixture(config) for _ in range(config.expert_layers))
        self.norm = nn.LayerNorm(dim, bias=False)
        if config.temporal == "film":
            self.film = TemporalFilm(config)
        self.head, self.uncertainty = CentreHead(config), UncertaintyHead(config)
        line = (torch.arange(config.template_grid) + 0.5) / config.template_grid - 0.5
        bell = torch.exp(-2 * (line * config.template_factor).square())
        self.register_buffer("template_weights", torch.outer(bell, bell).reshape(1, -1), persistent=False)

    def template_tokens(self, template: Tensor) -> Tensor:
        """template (B, 3, S_z, S_z) -> (B, L_z, dim)."""
        patches: Tensor = self.patch(template)
        return patches.flatten(2).transpose(1, 2) + self.template_position + self.kinds[0]

    def search_tokens(self, search: Tensor) -> Tensor:
        """search (B, 3, S_x, S_x) -> (B, L_x, dim)."""
        patches: Tensor = self.patch(search)
        return patches.flatten(2).transpose(1, 2) + self.search_position + self.kinds[1]

    def layer(self, index: int, tokens: Tensor, update: Tensor) -> Tensor:
        """Tokens (B, L, dim) after a layer whose block says to add ``update``."""
        if self.config.block == "gelu":
            update = update * self.layer_scale[index]
        tokens = tokens + update
        place = index - (self.config.layers - self.config.expert_layers)
        return tokens + self.mixtures[place](tokens) if place >= 0 else tokens

    def init(self, template: Tensor) -> State:
        """template (B, 3, S_z, S_z) -> state."""
        tokens = self.template_tokens(template)
        state: State = {}
        for index, block in enumerate(self.blocks):
            update, after = block(tokens, None)
            tokens = self.layer(index, tokens, update)
            state.update({f"layers.{index}.{key}": value for key, value in after._asdict().items()})
        if self.config.temporal == "film":
            look = pooled(self.norm(tokens), self.get_buffer("template_weights"))
            state["temporal.start"] = state["temporal.memory"] = look
        return state

    def step(self, search: Tensor, carry: Tensor | None, state: State) -> tuple[dict[str, Tensor], State]:
        """search (B, 3, S_x, S_x), carry (B,) in [0, 1] or None (all 0), state -> maps, written state.

        The maps are those of ``CentreHead``, and ``log_variance`` of ``UncertaintyHead``.
        """
        seen = self.look(search, carry, state)
        return seen.maps, seen.written

    def look(self, search: Tensor, carry: Tensor | None, state: State) -> Seen:
        """``step``, with what training wants to see besides."""
        tokens = self.search_tokens(search)
        memory = modulation = None
        if self.config.temporal == "film" and carry is not None:
            start = state["temporal.start"]
            memory = start + carry[:, None] * (state["temporal.memory"] - start)
            modulation = self.film(memory, carry)
        for index, block in enumerate(self.blocks):
            if index and modulation is not None:
                tokens = modulate(tokens, modulation[:, index - 1])
            past = BlockState(*(state[f"layers.{index}.{key}"] for key in BlockState._fields))
            tokens = self.layer(index, tokens, block(tokens, past)[0])
        maps, features = self.answer(tokens)
        score = maps["score"].detach().flatten(1)  # (B, G²): where the target is, not something to learn by
        look = pooled(features.flatten(2).transpose(1, 2), score.to(features.dtype))
        written: State = {}
        if memory is not None:
            written["temporal.memory"] = self.film.update(memory, look, score.amax(1).to(look.dtype))
        return Seen(maps, written, features, look)

    def answer(self, tokens: Tensor) -> tuple[dict[str, Tensor], Tensor]:
        """Search tokens (B, G², dim) after all layers -> maps, features (B, dim, G, G) that they are of."""
        grid = self.config.search_grid
        features = self.norm(tokens).transpose(1, 2).unflatten(2, (grid, grid))
        return {**self.head(features), "log_variance": self.uncertainty(features)}, features

    def stateless(self, template: Tensor, search: Tensor) -> dict[str, Tensor]:
        """The plain form: template and search tokens as one sequence through every block, no state at all.

        It equals ``step`` with ``carry`` 0, and costs the template's tokens again on every frame.
        """
        return self.joined(self.template_tokens(template).unsqueeze(1), search)

    def joined(self, templates: Tensor, search: Tensor) -> dict[str, Tensor]:
        """Tokens (B, T, L_z, dim) of T templates and a search crop, as one sequence -> maps."""
        parts = [*templates.unbind(1), self.search_tokens(search)]
        for index, block in enumerate(self.blocks):
            assert isinstance(block, MlstmBlock)
            updates = concatenated(block, parts)
            parts = [self.layer(index, part, update) for part, update in zip(parts, updates, strict=True)]
        return self.answer(parts[-1])[0]

    def functions(self) -> dict[str, Any]:
        """The named functions of the spec, as callables over named inputs and a state."""
        return {
            "init": lambda inputs, _: ({}, self.init(inputs["template"])),
            "step": lambda inputs, state: self.step(inputs["search"], inputs.get("carry"), state),
        }

    def spec(self, name: str) -> ModelSpec:
        """Everything that a runtime must know of this model."""
        c = self.config
        width, grid = c.inner // c.heads, c.search_grid
        shapes: dict[str, tuple[Dim, ...]] = {
            "memory": ("batch", c.heads, width, width),
            "norm": ("batch", c.heads, width),
            "peak": ("batch", c.heads),
            "conv": ("batch", c.inner, c.conv_taps - 1),
        }
        state = [
            TensorSpec(f"layers.{index}.{key}", "float32", shapes[key])
            for index in range(c.layers)
            for key in BlockState._fields
        ]
        pinned = tuple(tensor.name for tensor in state)
        inputs = [TensorSpec("search", "float32", ("batch", 3, c.search_size, c.search_size))]
        carried: tuple[str, ...] = ()
        if c.temporal == "film":
            carried = ("temporal.memory",)
            pinned += ("temporal.start",)
            state += [TensorSpec(key, "float32", ("batch", c.dim)) for key in ("temporal.start", *carried)]
            inputs.append(TensorSpec("carry", "float32", ("batch",)))
        maps = (("score", 1), ("offset", 2), ("size", 2), ("log_variance", 4))
        init = FunctionSpec(
            inputs=(TensorSpec("template", "float32", ("batch", 3, c.template_size, c.template_size)),),
            outputs=(),
            reads_state=(),
            writes_state=tuple(tensor.name for tensor in state),
        )
        step = FunctionSpec(
            inputs=tuple(inputs),
            outputs=tuple(TensorSpec(key, "float32", ("batch", depth, grid, grid)) for key, depth in maps),
            reads_state=pinned + carried,
            writes_state=carried,
        )
        preprocess: dict[str, JSON] = {
            "template_size": c.template_size,
            "template_factor": c.template_factor,
            "search_size": c.search_size,
            "search_factor": c.search_factor,
            "normalisation": "imagenet",
        }
        return ModelSpec(
            name=name,
            task="tracking",
            architecture=ARCHITECTURE,
            config=c.to_dict(),
            preprocess=preprocess,
            functions={"init": init, "step": step},
            state=tuple(state),
        )


def concatenated(block: MlstmBlock, parts: list[Tensor]) -> list[Tensor]:
    """What a block adds to each part (B, L, dim) of one sequence, the first one first in either direction."""
    # A mixer that reads backward reverses all that it is given, so it is given the last part first.
    order = parts[::-1] if block.mixer.reverse else parts
    update, _ = block(torch.cat(order, dim=1), None)
    updates = list(update.split([part.shape[1] for part in order], dim=1))
    return updates[::-1] if block.mixer.reverse else updates
