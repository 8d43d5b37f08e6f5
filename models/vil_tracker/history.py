"""The tracker with several templates, stateful and stateless: what ``bench history`` compares.

Templates come in time order. The sequence of every layer is [z_1, …, z_T, x]; a layer that reads backward
reverses each of these parts within itself, so the state after T templates goes on from that after T - 1.

Functions of ``VilTemplateHistory`` (weights and names of weights are those of ``VilTracker``)
    init        templates (B, T, 3, S_z, S_z)             -> state after all of them
    step        as ``VilTracker.step``: what the stateful tracker runs a frame
    stateless   templates (B, T, 3, S_z, S_z), search     -> maps; everything again on every frame
    encode      template (B, 3, S_z, S_z)                 -> features (B, L_z, dim), its patch tokens
    cached      features (B, T, L_z, dim), search         -> maps; as ``stateless``, the patch tokens kept
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from torch import Tensor

from ...bundles import FunctionSpec, ModelSpec, TensorSpec
from ...errors import OptionError
from ...plugins import Operators
from .config import VilTrackerConfig
from .film import pooled
from .mlstm import MlstmBlock
from .model import State, VilTracker


class VilTemplateHistory(VilTracker):
    """ViL-Tracker over ``history`` templates. Raises OptionError when there is none."""

    def __init__(self, config: VilTrackerConfig, operators: Operators, history: int) -> None:
        super().__init__(config, operators)
        if history < 1:
            raise OptionError(f"history is {history}", "give at least 1 template")
        self.history = history

    def encode_all(self, templates: Tensor) -> Tensor:
        """templates (B, T, 3, S_z, S_z) -> their patch tokens (B, T, L_z, dim)."""
        tokens: Tensor = self.template_tokens(templates.flatten(0, 1))
        together: Tensor = tokens.unflatten(0, (-1, self.history))
        return together

    def init_all(self, templates: Tensor) -> State:
        """templates (B, T, 3, S_z, S_z) -> state after all of them, one after the other."""
        parts = list(self.encode_all(templates).unbind(1))
        state: State = {}
        for index, block in enumerate(self.blocks):
            assert isinstance(block, MlstmBlock)
            after = None
            for place, part in enumerate(parts):
                update, after = block(part, after)
                parts[place] = self.layer(index, part, update)
            assert after is not None
            state.update({f"layers.{index}.{key}": value for key, value in after._asdict().items()})
        if self.config.temporal == "film":  # the newest look is what the memory starts from
            look = pooled(self.norm(parts[-1]), self.get_buffer("template_weights"))
            state["temporal.start"] = state["temporal.memory"] = look
        return state

    def functions(self) -> dict[str, Any]:
        """See the glossary above."""
        return {
            **super().functions(),
            "init": lambda inputs, _: ({}, self.init_all(inputs["templates"])),
            "stateless": lambda inputs, _: (
                self.joined(self.encode_all(inputs["templates"]), inputs["search"]),
                {},
            ),
            "encode": lambda inputs, _: ({"features": self.template_tokens(inputs["template"])}, {}),
            "cached": lambda inputs, _: (self.joined(inputs["features"], inputs["search"]), {}),
        }

    def spec(self, name: str) -> ModelSpec:
        """The spec of the stateful tracker, with the functions above."""
        plain, c = super().spec(name), self.config
        step = plain.function("step")
        search = step.inputs[0]
        crop, kept = (3, c.template_size, c.template_size), (c.template_grid**2, c.dim)
        templates = TensorSpec("templates", "float32", ("batch", self.history, *crop))
        features = TensorSpec("features", "float32", ("batch", self.history, *kept))
        template = TensorSpec("template", "float32", ("batch", *crop))
        one = TensorSpec("features", "float32", ("batch", *kept))
        return replace(
            plain,
            functions={
                "init": FunctionSpec((templates,), (), (), plain.function("init").writes_state),
                "step": step,
                "stateless": FunctionSpec((templates, search), step.outputs, (), ()),
                "encode": FunctionSpec((template,), (one,), (), ()),
                "cached": FunctionSpec((features, search), step.outputs, (), ()),
            },
        )
