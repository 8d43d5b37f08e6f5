"""Temporal features, and the channel-wise affine maps by which they modulate the tokens between layers.

Source: Perez et al., "FiLM: Visual Reasoning with a General Conditioning Layer", section 2.1. No layer here
has a bias, so temporal features of zero leave every token exactly as it is.

Glossary
    memory      (B, dim), what the target has looked like: it starts as the template's look
    confidence  (B,), the highest score of a frame's map, in (0, 1)
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .config import VilTrackerConfig


class TemporalFilm(nn.Module):
    """memory -> a scale and a shift for the tokens in each gap between two layers."""

    def __init__(self, config: VilTrackerConfig) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(config.dim, bias=False)
        self.encode = nn.Sequential(
            nn.Linear(config.dim, config.film_hidden, bias=False),
            nn.GELU(),
            nn.Linear(config.film_hidden, config.film_rank, bias=False),
        )
        gaps = config.layers - 1
        self.affine = nn.Parameter(torch.zeros(gaps, 2, config.film_rank, config.dim))  # starts as nothing
        self.rate = nn.Parameter(torch.zeros(config.dim))

    def forward(self, memory: Tensor, strength: Tensor) -> Tensor:
        """memory (B, dim), strength (B,) in [0, 1] -> (B, gaps, 2, 1, dim): scale less one, and shift."""
        features: Tensor = self.encode(self.norm(memory)) * strength[:, None]  # (B, rank)
        gaps, _, rank, dim = self.affine.shape
        wide = self.affine.permute(2, 0, 1, 3).reshape(rank, gaps * 2 * dim)
        modulation: Tensor = (features @ wide).unflatten(1, (gaps, 2, 1, dim))
        return modulation

    def update(self, memory: Tensor, look: Tensor, confidence: Tensor) -> Tensor:
        """The memory (B, dim), moved towards the target's look now, each channel at its own learned rate."""
        return memory + torch.sigmoid(self.rate) * confidence[:, None] * (look - memory)


def modulate(tokens: Tensor, modulation: Tensor) -> Tensor:
    """tokens (B, L, dim), modulation (B, 2, 1, dim) of one gap -> ``tokens · (1 + scale) + shift``."""
    return tokens + tokens * modulation[:, 0] + modulation[:, 1]


def pooled(tokens: Tensor, weights: Tensor) -> Tensor:
    """The mean (B, dim) of tokens (B, L, dim), weighted by (B, L) or (1, L) that are not negative."""
    shares = weights / (weights.sum(1, keepdim=True) + 1e-6)
    return (shares.unsqueeze(1) @ tokens).squeeze(1)
