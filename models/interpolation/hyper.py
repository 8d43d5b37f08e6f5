"""Manifold-constrained hyper-connections: several residual streams, mixed by doubly stochastic matrices.

Before each block the streams are read out by a weighting; after it they are mixed by a matrix on the Birkhoff
polytope (rows and columns sum to 1, so a signal neither grows nor fades however deep the model is) and the
block's output is added to each. Source: Xie et al., "mHC: Manifold-Constrained Hyper-Connections" (2025); the
projection is Sinkhorn and Knopp's, few iterations of which are mHC-lite (Yang and Gao, 2026).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


def sinkhorn(logits: Tensor, iterations: int) -> Tensor:
    """logits (n, n) -> a matrix whose rows and columns sum to 1, nearly (columns exactly)."""
    matrix = torch.exp(logits - logits.max())
    for _ in range(iterations):
        matrix = matrix / matrix.sum(1, keepdim=True)
        matrix = matrix / matrix.sum(0, keepdim=True)
    return matrix


class HyperConnection(nn.Module):
    """The streams around one block. With one stream it is the ordinary residual connection.

    With ``annealing``, a buffer ``annealed`` from 0 to 1, which training moves on, takes the mixing matrix to
    the identity: each stream is left to itself, so late gradients pass as they would pass residuals.
    """

    def __init__(self, streams: int, iterations: int, *, annealing: bool) -> None:
        super().__init__()
        self.streams, self.iterations, self.annealing = streams, iterations, annealing
        if streams > 1:
            self.mix = nn.Parameter(4.0 * torch.eye(streams))
            self.read = nn.Parameter(torch.zeros(streams))
            self.write = nn.Parameter(torch.zeros(streams))
        if annealing:
            self.register_buffer("annealed", torch.zeros(()))

    def take(self, streams: Tensor) -> Tensor:
        """streams (n, B, H, W, C) -> what the block sees (B, H, W, C)."""
        if self.streams == 1:
            return streams[0]
        return (torch.softmax(self.read, 0).view(-1, 1, 1, 1, 1) * streams).sum(0)

    def give(self, streams: Tensor, added: Tensor) -> Tensor:
        """streams and the block's output (B, H, W, C) -> streams."""
        if self.streams == 1:
            return streams + added
        matrix = sinkhorn(self.mix, self.iterations)
        if self.annealing:
            matrix = torch.lerp(matrix, torch.eye(self.streams).to(matrix), self.get_buffer("annealed"))
        mixed = torch.einsum("ij,jbhwc->ibhwc", matrix, streams)
        return mixed + 2.0 * torch.sigmoid(self.write).view(-1, 1, 1, 1, 1) * added
