"""ARTrackMamba with ARTrackV2's tokens and trajectory head: templates become a state, frames go on from it.

``init(template) -> state`` and ``step(search, history, carry) -> logits, score, next state``.

State tensors (named, one row a session):
    dynamic.first     (L_z, dim)  patch tokens of the newest template; pinned
    dynamic.tokens    (L_z, dim)  of the dynamic template that the last frame drew
    layers.<i>....    see ``blocks``: State_0 after the templates, pinned; what frames carry on

``carry`` is the engine's confidence in the last frame: at 0 a frame sees the first template in place of a
drawn one, and starts from State_0. Temporal mode "restart" always starts from State_0, "carry" as its α says.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from ...bundles import JSON, FunctionSpec, ModelSpec, TensorSpec
from ...plugins import Operators
from ..artrack_mamba.mixer import RmsNorm
from .blocks import Block, State
from .config import ArtrackMambaV2Config
from .order import Part
from .redraw import Redraw
from .rotary import Pair
from .tokens import Angles, Tokens

ARCHITECTURE = "artrack_mamba_v2"
Outputs = dict[str, Tensor]


class ArtrackMambaV2(nn.Module):
    """One tracker. Inputs are normalised RGB crops (B, 3, S, S); see ``spec`` for every name and shape."""

    def __init__(self, config: ArtrackMambaV2Config, operators: Operators) -> None:
        super().__init__()
        self.config = config
        self.tokens = Tokens(config)
        self.blocks = nn.ModuleList(Block(config, operators, index) for index in range(config.layers))
        self.norm = RmsNorm(config.dim)
        self.word_bias = nn.Parameter(torch.zeros(config.places))
        self.score = nn.Sequential(nn.Linear(config.dim, config.dim), nn.ReLU(), nn.Linear(config.dim, 1))
        if config.dynamic:
            self.redraw = Redraw(config)
        rotary = config.positions != "learned"
        self.scan_angles = Angles(config, config.states) if rotary else None
        self.attention_angles = (
            Angles(config, config.attention_width) if rotary and config.attending else None
        )

    @property
    def frame_parts(self) -> list[Part]:
        """A frame's tokens are one part, turned as a whole by a reverse scan unless the model is causal."""
        return [(self.config.frame_tokens, not self.config.causal)]

    def template_parts(self, count: int) -> list[Part]:
        """Every template is a part of its own."""
        return [(self.config.template_grid**2, True)] * count

    def angles(self, index: int, templates: int, frame: bool) -> Pair | None:
        """Rotary angles of a layer's tokens: of so many templates, then of a frame; None without any."""
        table = self.attention_angles if index in self.config.attending else self.scan_angles
        return None if table is None else table.of(templates, frame)

    def features(self, templates: Tensor) -> Tensor:
        """Templates (B, 3, S_z, S_z) or (B, T, 3, S_z, S_z), oldest first -> tokens (B, T, L_z, dim)."""
        if templates.dim() == 4:
            templates = templates.unsqueeze(1)
        count = templates.shape[1]
        tokens: Tensor = self.tokens.crop(templates.flatten(0, 1)).unflatten(0, (-1, count))
        return tokens

    def init(self, templates: Tensor) -> State:
        """Templates (B, 3, S_z, S_z) or (B, T, 3, S_z, S_z), oldest first -> state."""
        features = self.features(templates)
        count = features.shape[1]
        tokens = self.tokens.templates(features)
        state: State = {}
        if self.config.dynamic:
            state["dynamic.first"] = state["dynamic.tokens"] = features[:, -1]
        for index, block in enumerate(self.blocks):
            assert isinstance(block, Block)
            tokens, left = block.templates(
                tokens, self.template_parts(count), self.angles(index, count, frame=False)
            )
            state |= left
        return state

    def step(self, search: Tensor, history: Tensor, carry: Tensor, state: State) -> tuple[Outputs, State]:
        """search (B, 3, S_x, S_x), history (B, 4 P) words, carry (B,) in [0, 1] -> outputs, written state."""
        trunk, written = self.step_trunk(self.tokens.crop(search), history, carry, state)
        outputs = self.head(trunk)
        if self.config.dynamic:
            drawn = self.redraw(trunk[:, : self.config.template_grid**2])
            written["dynamic.tokens"] = self.tokens.drawn(drawn)
        return outputs, written

    def step_trunk(
        self, search: Tensor, history: Tensor, carry: Tensor, state: State
    ) -> tuple[Tensor, State]:
        """Patch tokens of the search crop (B, L_x, dim) and as ``step`` -> the trunk's output (B, L, dim)."""
        dynamic = None
        if self.config.dynamic:
            first = state["dynamic.first"]
            dynamic = first + carry[:, None, None] * (state["dynamic.tokens"] - first)
        tokens = self.tokens.frame(dynamic, search, history)
        written: State = {}
        for index, block in enumerate(self.blocks):
            assert isinstance(block, Block)
            angles = self.angles(index, 0, frame=True)
            tokens, left = block.frame(tokens, carry, state, self.frame_parts, angles)
            written |= left
        return self.norm(tokens), written

    def head(self, trunk: Tensor) -> Outputs:
        """The trunk (B, L, dim) -> logits (B, 4, places) of left, top, right, bottom; score (B, 1)"""
        words = self.tokens.words.weight[: self.config.places]
        logits = trunk[:, -5:-1] @ words.t() + self.word_bias
        score = torch.sigmoid(self.score(trunk[:, -1]))
        wide = torch.promote_types(logits.dtype, torch.float32)
        return {"logits": logits.to(wide), "score": score.to(wide)}

    def stateless(
        self, templates: Tensor, search: Tensor, history: Tensor, dynamic: Tensor | None = None
    ) -> tuple[Outputs, Tensor | None]:
        """The plain form: all tokens concatenated through every layer at once.

        ``dynamic`` (B, L_z, dim) is what the last frame drew, None for the newest template. Returns outputs,
        and the dynamic template drawn now. It equals ``step`` with ``carry`` 1 in temporal mode "restart",
        and costs the templates' tokens again on every frame.
        """
        return self.concatenated(self.features(templates), search, history, dynamic)

    def concatenated(
        self, features: Tensor, search: Tensor, history: Tensor, dynamic: Tensor | None = None
    ) -> tuple[Outputs, Tensor | None]:
        """``stateless`` from patch tokens of templates (B, T, L_z, dim)."""
        count = features.shape[1]
        before = self.tokens.templates(features)
        if self.config.dynamic and dynamic is None:
            dynamic = features[:, -1]
        frame = self.tokens.frame(dynamic, self.tokens.crop(search), history)
        tokens = torch.cat([before, frame], dim=1)
        parts = [*self.template_parts(count), *self.frame_parts]
        for index, block in enumerate(self.blocks):
            assert isinstance(block, Block)
            tokens = block.whole(tokens, before.shape[1], parts, self.angles(index, count, frame=True))
        trunk = self.norm(tokens[:, before.shape[1] :])
        if not self.config.dynamic:
            return self.head(trunk), None
        drawn = self.redraw(trunk[:, : self.config.template_grid**2])
        return self.head(trunk), self.tokens.drawn(drawn)

    @property
    def carries(self) -> bool:
        """Whether a frame takes anything over from the last one, so that ``step`` needs to know how much."""
        return self.config.dynamic or self.config.temporal == "carry"

    def functions(self) -> dict[str, Any]:
        """The named functions of the spec, as callables over named tensors and a state."""
        return {
            "init": lambda inputs, _: ({}, self.init(inputs["template"])),
            "step": self.step_function,
        }

    def step_function(self, inputs: dict[str, Tensor], state: State) -> tuple[Outputs, State]:
        """``step`` over named inputs."""
        search = inputs["search"]
        carry = inputs["carry"] if self.carries else search.new_zeros(search.shape[0])
        return self.step(search, inputs["history"], carry, state)

    def spec(self, name: str) -> ModelSpec:
        """Everything that a runtime must know of this model."""
        c = self.config
        pinned, carried = [], []
        if c.dynamic:
            kept = ("batch", c.template_grid**2, c.dim)
            pinned.append(TensorSpec("dynamic.first", "float32", kept))
            carried.append(TensorSpec("dynamic.tokens", "float32", kept))
        for block in self.blocks:
            assert isinstance(block, Block)
            more = block.state_specs()
            pinned += more[0]
            carried += more[1]
        names = tuple(tensor.name for tensor in (*pinned, *carried))
        crop = (3, c.template_size, c.template_size)
        several = (c.templates, *crop) if c.templates > 1 else crop
        template = TensorSpec("template", "float32", ("batch", *several))
        inputs = [
            TensorSpec("search", "float32", ("batch", 3, c.search_size, c.search_size)),
            TensorSpec("history", "int64", ("batch", 4 * c.history)),
        ]
        if self.carries:
            inputs.append(TensorSpec("carry", "float32", ("batch",)))
        outputs = (
            TensorSpec("logits", "float32", ("batch", 4, c.places)),
            TensorSpec("score", "float32", ("batch", 1)),
        )
        preprocess: dict[str, JSON] = {
            "template_size": c.template_size,
            "template_factor": c.template_factor,
            "search_size": c.search_size,
            "search_factor": c.search_factor,
            "normalisation": "imagenet",
            "decode": "trajectory",
            "bins": c.bins,
            "span": c.span,
            "options": {"crop": "last"},  # in training it lies around the history's last box
        }
        return ModelSpec(
            name=name,
            task="tracking",
            architecture=ARCHITECTURE,
            config=c.to_dict(),
            preprocess=preprocess,
            functions={
                "init": FunctionSpec((template,), (), (), names),
                "step": FunctionSpec(tuple(inputs), outputs, names, tuple(t.name for t in carried)),
            },
            state=(*pinned, *carried),
        )
