"""The mixture of experts of the last layers: every expert runs, weighted by what the router makes of a token.

The tokens that it sees are modulated by the temporal features (``film``), so the routing follows them too.
Source of the shape, a frozen shared expert beside densely routed ones: Cai et al., "SPMTrack", section 3.2.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from .config import VilTrackerConfig


class ExpertMixture(nn.Module):
    """``shared(x) + Σ_e softmax(router(x))_e · expert_e(x)`` of normed tokens, each expert a small MLP.

    The experts lie side by side in two matrices: expert e has the e-th group of hidden channels.
    """

    def __init__(self, config: VilTrackerConfig) -> None:
        super().__init__()
        dim, wide = config.dim, config.experts * config.expert_hidden
        self.experts = config.experts
        self.norm = nn.LayerNorm(dim, bias=False)
        self.router = nn.Linear(dim, config.experts, bias=False)
        self.enter, self.leave = nn.Linear(dim, wide, bias=False), nn.Linear(wide, dim, bias=False)
        last = nn.Linear(config.shared_hidden, dim, bias=False)
        self.shared = nn.Sequential(nn.Linear(dim, config.shared_hidden, bias=False), nn.GELU(), last)
        nn.init.zeros_(self.router.weight)  # all experts alike at first
        nn.init.normal_(self.leave.weight, std=0.02)
        nn.init.normal_(last.weight, std=0.02)

    def forward(self, tokens: Tensor) -> Tensor:
        """tokens (B, L, dim) -> what to add to them."""
        x = self.norm(tokens)
        shares = torch.softmax(self.router(x), dim=-1)  # (B, L, E)
        hidden = functional.gelu(self.enter(x)).unflatten(-1, (self.experts, -1)) * shares.unsqueeze(-1)
        mixed: Tensor = self.leave(hidden.flatten(-2)) + self.shared(x)
        return mixed

    def freeze_shared(self) -> None:
        """The shared expert stays as it is from now on."""
        self.shared.requires_grad_(False)
