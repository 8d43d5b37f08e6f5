"""A layer that attends in place of scanning, for hybrids; its state is the templates' keys and values.

Templates attend to templates, a frame to templates and itself: so keys and values of the templates never
depend on a frame, and are kept. Where the model is causal, a frame's token attends to no later one of it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from .config import ArtrackMambaV2Config
from .rotary import Pair, rotate


class Attention(nn.Module):
    """Multi-head attention over [templates, frame]."""

    def __init__(self, config: ArtrackMambaV2Config) -> None:
        super().__init__()
        self.heads, self.causal = config.attending_heads, config.causal
        self.qkv = nn.Linear(config.dim, 3 * config.attention_inner)
        self.out_proj = nn.Linear(config.attention_inner, config.dim)

    def project(self, tokens: Tensor, angles: Pair | None) -> tuple[Tensor, Tensor, Tensor]:
        """tokens (B, L, dim) -> query, key, value (B, L, inner), the first two turned by their angles."""
        query, key, value = self.qkv(tokens).chunk(3, dim=-1)
        if angles is not None:
            query, key = (
                rotate(part.unflatten(-1, (self.heads, -1)), angles[0]).flatten(-2) for part in (query, key)
            )
        return query, key, value

    def attend(self, query: Tensor, key: Tensor, value: Tensor, open_: Tensor | None) -> Tensor:
        """(B, L, inner) over (B, M, inner) -> (B, L, dim); ``open_`` (L, M): where a query may look."""
        q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in (query, key, value))
        found = functional.scaled_dot_product_attention(q, k, v, attn_mask=open_)
        mixed: Tensor = self.out_proj(found.transpose(1, 2).flatten(-2))
        return mixed

    def templates(self, tokens: Tensor, angles: Pair | None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Template tokens (B, L_z, dim) -> what they make of one another, and their keys and values."""
        query, key, value = self.project(tokens, angles)
        return self.attend(query, key, value, None), (key, value)

    def frame(self, tokens: Tensor, kept: tuple[Tensor, Tensor], angles: Pair | None) -> Tensor:
        """A frame's tokens (B, L_x, dim) over the templates' kept keys and values and their own."""
        query, key, value = self.project(tokens, angles)
        before = kept[0].shape[1]
        open_ = allowed(before, tokens.shape[1], self.causal, tokens.device)[before:] if self.causal else None
        return self.attend(query, torch.cat([kept[0], key], 1), torch.cat([kept[1], value], 1), open_)

    def whole(self, tokens: Tensor, before: int, angles: Pair | None) -> Tensor:
        """Templates (the first ``before`` tokens) and frame at once, by a mask: the stateless form."""
        query, key, value = self.project(tokens, angles)
        length = tokens.shape[1]
        return self.attend(query, key, value, allowed(before, length - before, self.causal, tokens.device))


def allowed(before: int, after: int, causal: bool, device: torch.device) -> Tensor:
    """(L, L) true where row may look at column, for ``before`` template tokens and ``after`` of a frame."""
    length = before + after
    place = torch.arange(length, device=device)
    open_ = (place[:, None] >= before) | (place[None, :] < before)
    if causal:
        open_ = open_ & ((place[:, None] >= place[None, :]) | (place[None, :] < before))
    return open_
