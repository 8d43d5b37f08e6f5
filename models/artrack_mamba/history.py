"""The same tracker with several templates, stateful and stateless: what ``bench history`` compares.

Templates come in time order. In every layer the sequence is [z_1, …, z_T, x]; a reverse layer reverses each
of these parts within itself, so that a state after T templates goes on from the state after T - 1. The
pixel-wise correlation is with the first template, whose keys the embedding was made for.

Functions of ``TemplateHistory`` (weights and names of weights are those of ``ArtrackMamba``)
    init        templates (B, T, 3, S_z, S_z)             -> state after all of them, as ``ArtrackMamba.init``
    step        as ``ArtrackMamba.step``: what the stateful tracker runs a frame
    stateless   templates (B, T, 3, S_z, S_z), search     -> maps; everything again on every frame
    encode      template (B, 3, S_z, S_z)                 -> features (B, C, G_z, G_z) of the stem
    cached      features (B, T, C, G_z, G_z), search      -> maps; as ``stateless``, the stem's work kept
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from ...bundles import FunctionSpec, ModelSpec, TensorSpec
from ...errors import OptionError
from ...plugins import Operators
from .config import ArtrackMambaConfig
from .mixer import Mamba2Mixer, MambaBlock
from .model import ArtrackMamba, State


class TemplateHistory(ArtrackMamba):
    """ARTrackMamba over ``history`` templates. Raises OptionError when there is none."""

    def __init__(self, config: ArtrackMambaConfig, operators: Operators, history: int) -> None:
        super().__init__(config, operators)
        if history < 1:
            raise OptionError(f"history is {history}", "give at least 1 template")
        self.history = history

    def init_all(self, templates: Tensor) -> State:
        """templates (B, T, 3, S_z, S_z) -> state after all of them, one after the other."""
        features = self.encode_all(templates)
        keys, parts = self.template_parts(features)
        state = {"template.features": keys}
        for index, block in enumerate(self.blocks):
            assert isinstance(block, MambaBlock)
            states = None
            for place, part in enumerate(parts):
                parts[place], states = block(part, states)
            assert states is not None
            for direction, (ssm, conv) in enumerate(states):
                name = f"layers.{index}.{direction}"
                state[f"{name}.start"], state[f"{name}.conv"] = ssm, conv
                if self.config.temporal == "carry":
                    state[f"{name}.ssm"] = ssm
        return state

    def encode_all(self, templates: Tensor) -> Tensor:
        """templates (B, T, 3, S_z, S_z) -> features (B, T, C, G_z, G_z), in one batch of the stem."""
        batch, count = templates.shape[:2]
        features: Tensor = self.stem(templates.flatten(0, 1))
        return features.reshape(batch, count, *features.shape[1:])

    def template_parts(self, features: Tensor) -> tuple[Tensor, list[Tensor]]:
        """features (B, T, C, G_z, G_z) -> keys (B, C, L_z) of the first, T times tokens (B, L_z, C)."""
        batch, count = features.shape[:2]
        keys = functional.normalize(features[:, 0].flatten(2), dim=1)
        repeated = keys.unsqueeze(1).expand(-1, count, -1, -1).reshape(batch * count, *keys.shape[1:])
        tokens = self.tokens(features.flatten(0, 1), repeated, self.template_position)
        return keys, list(tokens.reshape(batch, count, *tokens.shape[1:]).unbind(1))

    def concatenated(self, features: Tensor, search: Tensor) -> dict[str, Tensor]:
        """features (B, T, C, G_z, G_z) of templates, search (B, 3, S_x, S_x) -> maps, without any state."""
        keys, parts = self.template_parts(features)
        found = self.stem(search)
        batch, _, grid, _ = found.shape
        parts.append(self.tokens(found, keys, self.search_position))
        lengths = [part.shape[1] for part in parts]
        tokens = torch.cat(parts, dim=1)  # (B, T · L_z + L_x, C)
        for block in self.blocks:
            assert isinstance(block, MambaBlock)
            normed = block.norm(tokens)
            for mixer in block.mixers:
                assert isinstance(mixer, Mamba2Mixer)
                tokens = tokens + mixed(mixer, normed, lengths)
        seen = tokens[:, -lengths[-1] :]
        maps: dict[str, Tensor] = self.head(seen.transpose(1, 2).reshape(batch, -1, grid, grid))
        return maps

    def functions(self) -> dict[str, Any]:
        """See the glossary above."""
        return {
            "init": lambda inputs, _: ({}, self.init_all(inputs["templates"])),
            "step": self._step_function,
            "stateless": lambda inputs, _: (
                self.concatenated(self.encode_all(inputs["templates"]), inputs["search"]),
                {},
            ),
            "encode": lambda inputs, _: ({"features": self.stem(inputs["template"])}, {}),
            "cached": lambda inputs, _: (self.concatenated(inputs["features"], inputs["search"]), {}),
        }

    def spec(self, name: str) -> ModelSpec:
        """The spec of the stateful tracker, with the functions above."""
        plain, c = super().spec(name), self.config
        step = plain.function("step")
        search = step.inputs[0]
        crop, grid = (3, c.template_size, c.template_size), (c.stem_dim, c.template_grid, c.template_grid)
        templates = TensorSpec("templates", "float32", ("batch", self.history, *crop))
        features = TensorSpec("features", "float32", ("batch", self.history, *grid))
        written = plain.function("init").writes_state
        return replace(
            plain,
            functions={
                "init": FunctionSpec((templates,), (), (), written),
                "step": step,
                "stateless": FunctionSpec((templates, search), step.outputs, (), ()),
                "encode": FunctionSpec(
                    (TensorSpec("template", "float32", ("batch", *crop)),),
                    (TensorSpec("features", "float32", ("batch", *grid)),),
                    (),
                    (),
                ),
                "cached": FunctionSpec((features, search), step.outputs, (), ()),
            },
        )


def mixed(mixer: Mamba2Mixer, tokens: Tensor, lengths: list[int]) -> Tensor:
    """A mixer over parts of these lengths as one sequence (B, L, dim), each part in the mixer's direction."""
    if not mixer.reverse:
        found: Tensor = mixer(tokens, None, None)[0]
        return found
    turned = turn_parts(tokens, lengths).flip(1)  # the mixer turns the whole sequence itself, and back
    found = mixer(turned, None, None)[0]
    return turn_parts(found.flip(1), lengths)


def turn_parts(tokens: Tensor, lengths: list[int]) -> Tensor:
    """Each part of the sequence (B, L, dim) reversed within itself."""
    return torch.cat([part.flip(1) for part in tokens.split(lengths, dim=1)], dim=1)
