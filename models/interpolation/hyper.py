"""Manifold-constrained hyper-connections: several residual streams, mixed by doubly stochastic matrices.

Before each block the streams are read out by a weighting; after it they are mixed by a matrix on the Birkhoff
polytope (rows and columns sum to 1, so a signal neither grows nor fades however deep the model is) and the
block's output is added to each. Source: Xie et al., "mHC: Manifold-Constrained Hyper-Connections" (2025); the
projection is Sinkhorn and Knopp's.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

ITERATIONS = 20


def sinkhorn(logits: Tensor, iterations: int = ITERATIONS) -> Tensor:
    """logits (n, n) -> a matrix whose rows and columns sum to 1, nearly (columns exactly)."""
    matrix = torch.exp(logits - logits.max())
    for _ in range(iterations):
        matrix = matrix / matrix.sum(1, keepdim=True)
        matrix = matrix / matrix.sum(0, keepdim=True)
    return matrix


class HyperConnection(nn.Module):
    """The streams around one block. With one stream it is the ordinary residual connection."""

    def __init__(self, streams: int) -> None:
        super().__init__()
        self.streams = streams
        if streams > 1:
            self.mix = nn.Parameter(4.0 * torch.eye(streams))
            self.read = nn.Parameter(torch.zeros(streams))
            self.write = nn.Parameter(torch.zeros(streams))

    def take(self, streams: Tensor) -> Tensor:
        """streams (n, B, H, W, C) -> what the block sees (B, H, W, C)."""
        if self.streams == 1:
            return streams[0]
        return (torch.softmax(self.read, 0).view(-1, 1, 1, 1, 1) * streams).sum(0)

    def give(self, streams: Tensor, added: Tensor) -> Tensor:
        """streams and the block's output (B, H, W, C) -> streams."""
        if self.streams == 1:
            return streams + added
        mixed = torch.einsum("ij,jbhwc->ibhwc", sinkhorn(self.mix), streams)
        return mixed + 2.0 * torch.sigmoid(self.write).view(-1, 1, 1, 1, 1) * added
