"""Mamba-Small: patches as tokens, Mamba-1 mixers (or attention) and MLPs, the mean of the tokens, one label.

``classify(image, keep) -> frame, smoothed`` with one state tensor a session:
    average     (K,)  probabilities of the frames so far, older ones fading; ``smoothed`` is the same after
                      this frame: ``p + keep · (average − p)``. ``keep`` is 0 for the first frame, then
                      ``exp(−Δt / τ)`` of the real time since the last one.

Source: Gu and Dao, "Mamba: Linear-Time Sequence Modeling with Selective State Spaces", section 3.4 (block).

Glossary (paper symbol -> name here)
    Δ -> dt      step sizes, softplus of a projection and a bias that starts them in [1e-3, 1e-1]
    A -> a_log   decay rates as −exp(a_log), (inner, N), starting at 1 … N
    D -> d_skip  what a channel hands on beside the scan
    z -> gate    the branch that multiplies the scan's output, SiLU-activated
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ...bundles import JSON, FunctionSpec, ModelSpec, TensorSpec
from ...errors import OptionError
from ...plugins import Operators
from .config import ClassifierConfig

ARCHITECTURE = "mamba_classifier"

State = dict[str, Tensor]


class Mamba1Mixer(nn.Module):
    """The selective scan over all tokens of a picture, each with its own step sizes, inputs and read-outs."""

    def __init__(self, config: ClassifierConfig, operators: Operators, index: int) -> None:
        super().__init__()
        self._operators = operators
        inner, states, taps = config.channels_of(index), config.states_of(index), config.conv_taps
        self._widths = [config.dt_rank or inner, states, states]  # of Δ (or of its rank), B and C
        self.in_proj = nn.Linear(config.dim, 2 * inner, bias=False)
        self.conv_weight = nn.Parameter(torch.empty(inner, taps).uniform_(-(taps**-0.5), taps**-0.5))
        self.conv_bias = nn.Parameter(torch.zeros(inner))
        self.x_proj = nn.Linear(inner, 2 * states + (config.dt_rank or inner), bias=False)
        self.dt_proj = nn.Linear(config.dt_rank, inner, bias=False) if config.dt_rank else nn.Identity()
        dt = torch.exp(torch.linspace(math.log(1e-3), math.log(1e-1), inner))[torch.randperm(inner)]
        self.dt_bias = nn.Parameter(dt + torch.log(-torch.expm1(-dt)))  # softplus of it is dt
        self.a_log = nn.Parameter(torch.log(torch.arange(1.0, states + 1)).repeat(inner, 1))
        self.d_skip = nn.Parameter(torch.ones(inner))
        self.out_proj = nn.Linear(inner, config.dim, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """tokens (B, L, dim) -> mixed tokens (B, L, dim)."""
        x, gate = self.in_proj(tokens).chunk(2, dim=-1)  # (B, L, inner) each
        x, _ = self._operators.causal_conv1d(x, self.conv_weight, self.conv_bias, None, silu=True)
        dt, b, c = self.x_proj(x).split(self._widths, dim=-1)
        dt = functional.softplus(self.dt_proj(dt) + self.dt_bias)
        y, _ = self._operators.selective_scan(x, dt, -torch.exp(self.a_log), b, c, None)
        mixed: Tensor = self.out_proj((y + self.d_skip * x) * functional.silu(gate))
        return mixed


class AttentionMixer(nn.Module):
    """Attention over all tokens of a picture: what a ViT has in the mixer's place."""

    def __init__(self, config: ClassifierConfig, index: int) -> None:
        super().__init__()
        self.heads = config.heads_of(index)
        inner = self.heads * (config.dim // config.attention_heads)
        self.qkv = nn.Linear(config.dim, 3 * inner)
        self.out_proj = nn.Linear(inner, config.dim)

    def forward(self, tokens: Tensor) -> Tensor:
        """tokens (B, L, dim) -> mixed tokens (B, L, dim)."""
        q, k, v = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in self.qkv(tokens).chunk(3, -1)
        )
        seen = functional.scaled_dot_product_attention(q, k, v)
        mixed: Tensor = self.out_proj(seen.transpose(1, 2).flatten(-2))
        return mixed


class MambaBlock(nn.Module):
    """A pre-norm residual block: the mixer, then the MLP."""

    def __init__(self, config: ClassifierConfig, operators: Operators, index: int) -> None:
        super().__init__()
        hidden = config.neurons_of(index)
        self.norm1 = nn.LayerNorm(config.dim)
        attends = config.mixer == "attention"
        self.mixer = AttentionMixer(config, index) if attends else Mamba1Mixer(config, operators, index)
        self.norm2 = nn.LayerNorm(config.dim)
        self.mlp = nn.Sequential(nn.Linear(config.dim, hidden), nn.GELU(), nn.Linear(hidden, config.dim))

    def forward(self, tokens: Tensor, kept: Tensor | None = None) -> Tensor:
        """tokens (B, L, dim); ``kept`` (2, B) weighs the branches of each sample, for stochastic depth."""
        mixed: Tensor = self.mixer(self.norm1(tokens))
        tokens = tokens + (mixed if kept is None else kept[0, :, None, None] * mixed)
        mixed = self.mlp(self.norm2(tokens))
        return tokens + (mixed if kept is None else kept[1, :, None, None] * mixed)


class MambaClassifier(nn.Module):
    """One classifier. Pictures are RGB (B, 3, S, S), less their mean and over their deviation.

    Raises OptionError where the configuration has fewer than two labels.
    """

    def __init__(self, config: ClassifierConfig, operators: Operators) -> None:
        super().__init__()
        if len(config.labels) < 2:
            raise OptionError(f"a classifier of {len(config.labels)} labels", "give at least two")
        self.config = config
        self.patch_embed = nn.Conv2d(3, config.dim, config.patch, config.patch)
        self.pos_embed = nn.Parameter(
            nn.init.trunc_normal_(torch.empty(1, config.grid**2, config.dim), std=0.02)
        )
        self.blocks = nn.ModuleList(MambaBlock(config, operators, index) for index in range(config.layers))
        self.norm = nn.LayerNorm(config.dim)
        self.head = nn.Linear(config.dim, len(config.labels))
        nn.init.trunc_normal_(self.head.weight, std=0.02)
        nn.init.zeros_(self.head.bias)

    def forward(self, image: Tensor, kept: Tensor | None = None) -> Tensor:
        """image (B, 3, S, S) -> logits (B, K). ``kept`` (layers, 2, B): see ``drop_paths``."""
        tokens = self.patch_embed(image).flatten(2).transpose(1, 2) + self.pos_embed  # (B, L, dim)
        for index, block in enumerate(self.blocks):
            tokens = block(tokens, None if kept is None else kept[index])
        logits: Tensor = self.head(self.norm(tokens).mean(1))
        return logits

    def functions(self) -> dict[str, Any]:
        """What runtimes call: by name, over named inputs and named state."""
        return {"classify": self._classify}

    def _classify(self, inputs: dict[str, Tensor], state: State) -> tuple[dict[str, Tensor], State]:
        frame = torch.softmax(self(inputs["image"]).float(), dim=1)
        smoothed = frame + inputs["keep"][:, None] * (state["average"] - frame)
        return {"frame": frame, "smoothed": smoothed}, {"average": smoothed}

    def spec(self, name: str) -> ModelSpec:
        """Everything that a runtime must know of this model."""
        c = self.config
        average = TensorSpec("average", "float32", ("batch", len(c.labels)))
        classify = FunctionSpec(
            inputs=(
                TensorSpec("image", "float32", ("batch", 3, c.size, c.size)),
                TensorSpec("keep", "float32", ("batch",)),
            ),
            outputs=tuple(
                TensorSpec(key, "float32", ("batch", len(c.labels))) for key in ("frame", "smoothed")
            ),
            reads_state=("average",),
            writes_state=("average",),
        )
        preprocess: dict[str, JSON] = {
            "size": c.size,
            "mean": list(c.mean),
            "std": list(c.std),
            "view": "middle",
            "labels": list(c.labels),
        }
        return ModelSpec(
            name=name,
            task="classification",
            architecture=ARCHITECTURE,
            config=c.to_dict(),
            preprocess=preprocess,
            functions={"classify": classify},
            state=(average,),
        )
