"""A convolutional GRU cell, whose state is a map of features: a part for models that remember places.

Source: Ballas et al., "Delving Deeper into Convolutional Networks for Learning Video Representations",
section 3.1; with RAFT's convention that the gate z takes the new.

Glossary
    x        (B, in, h, w)      features of a frame
    state    (B, hidden, h, w)  what the cell remembers, and its output
    z, r     update and reset gates; h̃ the candidate
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ConvGruCell(nn.Module):
    """``z, r = σ(conv(x, h))``, ``h̃ = tanh(conv(x, r ∘ h))``, ``h' = h + z ∘ (h̃ - h)``.

    The state is float32 whatever comes in, as every operator's is. Exports to plain ONNX, for any size.
    """

    def __init__(self, channels: int, hidden: int, kernel: int = 3) -> None:
        """Args: channels of x, hidden of the state; kernel, an odd side. Raises ValueError."""
        super().__init__()
        if kernel < 1 or kernel % 2 == 0:
            raise ValueError(f"kernel is {kernel}; it must be odd, so that a map keeps its size")
        self.hidden = hidden
        self.gates = nn.Conv2d(channels + hidden, 2 * hidden, kernel, padding=kernel // 2)
        self.candidate = nn.Conv2d(channels + hidden, hidden, kernel, padding=kernel // 2)

    def forward(self, x: Tensor, state: Tensor | None = None) -> Tensor:
        """x (B, in, h, w) and a state (B, hidden, h, w), or None (zeros) -> the next state."""
        kind = torch.promote_types(x.dtype, torch.float32)
        if state is None:
            state = x.new_zeros(x.shape[0], self.hidden, *x.shape[2:], dtype=kind)
        state = state.to(kind)
        weighed = self.gates.weight.dtype
        z, r = torch.sigmoid(self.gates(torch.cat([x.to(kind), state], dim=1).to(weighed))).chunk(2, dim=1)
        seen = torch.cat([x.to(kind), r.to(kind) * state], dim=1).to(weighed)
        return state + z.to(kind) * (torch.tanh(self.candidate(seen)).to(kind) - state)
