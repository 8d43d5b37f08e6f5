"""The tracker with several templates, stateful and stateless: what ``bench history`` compares.

Functions of ``TemplateHistoryV2`` (weights and names of weights are those of ``ArtrackMambaV2``)
    init        templates (B, T, 3, S_z, S_z)           -> state after all of them
    step        as ``ArtrackMambaV2.step``: what the stateful tracker runs a frame
    stateless   templates, search, history              -> outputs; everything again on every frame
    encode      template (B, 3, S_z, S_z)               -> features (B, L_z, dim), its patch tokens
    cached      features (B, T, L_z, dim), search, history -> outputs; as ``stateless``, the patch tokens kept
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ...bundles import FunctionSpec, ModelSpec, TensorSpec
from ...errors import OptionError
from ...plugins import Operators
from .config import ArtrackMambaV2Config
from .model import ArtrackMambaV2


class TemplateHistoryV2(ArtrackMambaV2):
    """ARTrackMamba over ``history`` templates. Raises OptionError when there is none."""

    def __init__(self, config: ArtrackMambaV2Config, operators: Operators, history: int) -> None:
        if history < 1:
            raise OptionError(f"history is {history}", "give at least 1 template")
        super().__init__(replace(config, templates=history), operators)

    def functions(self) -> dict[str, Any]:
        """See the glossary above."""
        return {
            "init": lambda inputs, _: ({}, self.init(inputs["templates"])),
            "step": self.step_function,
            "stateless": lambda inputs, _: (
                self.stateless(inputs["templates"], inputs["search"], inputs["history"])[0],
                {},
            ),
            "encode": lambda inputs, _: ({"features": self.tokens.crop(inputs["template"])}, {}),
            "cached": lambda inputs, _: (
                self.concatenated(inputs["features"], inputs["search"], inputs["history"])[0],
                {},
            ),
        }

    def spec(self, name: str) -> ModelSpec:
        """The spec of the stateful tracker, with the functions above."""
        plain, c = super().spec(name), self.config
        step = plain.function("step")
        told = tuple(tensor for tensor in step.inputs if tensor.name in ("search", "history"))
        crop, kept = (3, c.template_size, c.template_size), (c.template_grid**2, c.dim)
        templates = TensorSpec("templates", "float32", ("batch", c.templates, *crop))
        template = TensorSpec("template", "float32", ("batch", *crop))
        features = TensorSpec("features", "float32", ("batch", c.templates, *kept))
        one = TensorSpec("features", "float32", ("batch", *kept))
        return replace(
            plain,
            functions={
                "init": FunctionSpec((templates,), (), (), plain.function("init").writes_state),
                "step": step,
                "stateless": FunctionSpec((templates, *told), step.outputs, (), ()),
                "encode": FunctionSpec((template,), (one,), (), ()),
                "cached": FunctionSpec((features, *told), step.outputs, (), ()),
            },
        )
