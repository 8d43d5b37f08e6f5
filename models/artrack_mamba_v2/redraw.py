"""The dynamic template, drawn anew from what a frame made of its tokens, as pixels that are embedded again.

Source: ARTrackV2, section 3.3: a masked autoencoder's decoder; while training most of its input is hidden.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from .config import ArtrackMambaV2Config
from .tokens import small


class Layer(nn.Module):
    """Pre-norm transformer layer over (B, L, dim)."""

    def __init__(self, dim: int, heads: int, neurons: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm, self.norm_wide = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.qkv, self.mixed = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.wide = nn.Sequential(nn.Linear(dim, neurons), nn.GELU(), nn.Linear(neurons, dim))

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, L, dim) -> the same."""
        parts = self.qkv(self.norm(tokens)).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        found = functional.scaled_dot_product_attention(parts[0], parts[1], parts[2])
        tokens = tokens + self.mixed(found.transpose(1, 2).flatten(-2))
        widened: Tensor = self.wide(self.norm_wide(tokens))
        return tokens + widened


class Redraw(nn.Module):
    """Tokens of the dynamic template (B, L_z, dim) -> its patches (B, L_z, 3 · patch²), normalised pixels."""

    def __init__(self, config: ArtrackMambaV2Config) -> None:
        super().__init__()
        dim = config.redraw_dim
        self.enter = nn.Linear(config.dim, dim)
        self.hidden = small(dim)
        self.position = small(config.template_grid**2, dim)
        neurons = config.redraw_neurons or 4 * dim
        self.layers = nn.Sequential(
            *(Layer(dim, config.redraw_heads, neurons) for _ in range(config.redraw_layers))
        )
        self.norm = nn.LayerNorm(dim)
        self.out = nn.Linear(dim, 3 * config.patch**2)

    def forward(self, tokens: Tensor, hide: Tensor | None = None) -> Tensor:
        """``hide`` (B, L_z) is true where a token is not to be seen; None hides nothing."""
        seen = self.enter(tokens)
        if hide is not None:
            seen = torch.where(hide.unsqueeze(-1), self.hidden, seen)
        drawn: Tensor = self.out(self.norm(self.layers(seen + self.position)))
        return drawn
